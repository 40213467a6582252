#include "run_backward.h"

base_status run_backward_build(const run_graph *graph, base_arena *arena, const run_backward **backward)
{
    run_backward *self = BASE_NEW(arena, run_backward);
    run_backward_node *nodes = BASE_NEW_ARRAY(arena, run_backward_node, graph->node_count);
    int *written = BASE_NEW_ARRAY(arena, int, graph->node_count);
    if (!self || !nodes || !written)
        return BASE_ERROR;

    for (int n = graph->node_count - 1; n > 0; n--) {
        const run_node *node = &graph->nodes[n];
        if (node->kind == RUN_NODE_ALIAS || !node->needs_gradient)
            continue;
        run_gradient *inputs = BASE_NEW_ARRAY(arena, run_gradient, node->input_count);
        if (!inputs)
            return BASE_ERROR;
        for (int i = 0; i < node->input_count; i++) {
            int tensor = graph->nodes[node->inputs[i]].tensor;
            int wanted = graph->nodes[tensor].needs_gradient;
            inputs[i] = (run_gradient){.tensor = wanted ? tensor : -1, .accumulate = wanted && written[tensor]};
            /* In place, the gradient of the output becomes that of the input where it lies. */
            if (node->in_place)
                inputs[i].accumulate = 0;
            if (wanted)
                written[tensor] = 1;
        }
        nodes[self->count++] = (run_backward_node){.node = n, .inputs = inputs};
    }
    self->nodes = nodes;
    *backward = self;
    return BASE_OK;
}
