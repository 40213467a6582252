#include "graph_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

base_status graph_fixture_open(graph_fixture *self, const char *input, const char *layers, int64_t classes)
{
    *self = (graph_fixture){0};
    BASE_TRY(base_arena_create(&self->arena, "graph test"));
    const char *text = base_arena_format(self->arena,
                                         "data = { format = \"synthetic\"; };\n"
                                         "train = { batch = 8; };\n"
                                         "model = { input = [%s]; layers = (\n%s); };\n",
                                         input, layers);
    BASE_TRY(text ? run_config_parse("test.cfg", text, 0, NULL, &self->config) : BASE_ERROR);
    return run_graph_build(self->config, classes, self->arena, &self->graph);
}

void graph_fixture_close(graph_fixture *self)
{
    run_config_destroy(&self->config);
    base_arena_destroy(&self->arena);
}

const run_node *graph_fixture_node(const graph_fixture *self, const char *name)
{
    for (int n = 0; n < self->graph->node_count; n++)
        if (strcmp(self->graph->nodes[n].name, name) == 0)
            return &self->graph->nodes[n];
    fail_msg("there is no node '%s'", name);
    return NULL;
}
