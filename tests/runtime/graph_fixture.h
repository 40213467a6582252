/* graph_fixture.h: a graph from the text of a model, for the tests of graph and plan. */
#ifndef GRAPH_FIXTURE_H
#define GRAPH_FIXTURE_H

#include "run_graph.h"

typedef struct graph_fixture {
    base_arena *arena;
    run_config *config;
    const run_graph *graph;
} graph_fixture;

/* `layers` is what stands between the brackets of model.layers, one layer a line from line 4 of "test.cfg" on; `input`
 * without its brackets. Returns the status of config or graph. Close it in any case. */
base_status graph_fixture_open(graph_fixture *self, const char *input, const char *layers, int64_t classes);
void graph_fixture_close(graph_fixture *self);

/* The node of that name; fails the test when there is none. */
const run_node *graph_fixture_node(const graph_fixture *self, const char *name);

#endif
