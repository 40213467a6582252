/* graph_random.h: random models, a function of a number. */
#ifndef GRAPH_RANDOM_H
#define GRAPH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The layers of model `number` on an input of 2x8x8, as graph_fixture_open takes them: 1 to 16 layers of any type, each
 * reading any earlier ones, then what joins all loose ends and a dense layer of 3 units. Fails the test when it does
 * not fit. */
void graph_random_layers(uint32_t number, char *text, size_t size);

#endif
