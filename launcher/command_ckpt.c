#include "checkpoint.h"

#include <string.h>

static const struct {
    const char *name;
    base_status (*run)(int argc, char **argv);
} subcommands[] = {
    {"ls", checkpoint_ls}, {"show", checkpoint_show}, {"verify", checkpoint_verify}, {"diff", checkpoint_diff}};

static base_status run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return fputs(command_ckpt.usage, stdout) < 0 ? BASE_ERROR : BASE_OK;
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (strcmp(subcommands[i].name, name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    return BASE_FAIL(BASE_USAGE, "ddpt ckpt needs what to do, ls, show, verify or diff%s%s%s; see: ddpt help ckpt",
                     *name ? ", not '" : "", name, *name ? "'" : "");
}

const command command_ckpt = {
    .name = "ckpt",
    .summary = "look at checkpoints: ls, show, verify, diff",
    .usage =
        "usage: ddpt ckpt ls [--no-verify] [--json] DIR\n"
        "       ddpt ckpt show [--config | --json] DIR\n"
        "       ddpt ckpt verify DIR...\n"
        "       ddpt ckpt diff [--json] A B\n"
        "\n"
        "DIR, A and B are a run's folder, its ckpt folder, or the folder of one checkpoint (step-00000500); show and\n"
        "diff take the newest where there are several. Nothing on disk is changed.\n"
        "\n"
        "ls: a line for each checkpoint, oldest first. Every byte is read and verified; a damaged one is DAMAGED,\n"
        "with the reason below the table.\n"
        "      --no-verify     look at the manifests only, which is quick; `verified` is then -\n"
        "\n"
        "show: what the manifest says: when and by whom it was saved, where training stood, optimizer, every tensor.\n"
        "      --config        the configuration alone, as a file that `ddpt train` takes\n"
        "\n"
        "verify: reads every byte of every checkpoint. A line for each: ok or DAMAGED, what and where.\n"
        "\n"
        "diff: what differs between A and B in position, optimizer, configuration and, element by element, tensors.\n"
        "\n"
        "      --json          the same for programs (ls: an array; schemas ddpt.ckpt.show.v1, ddpt.ckpt.diff.v1)\n"
        "  -h, --help          this text\n"
        "\n"
        "Exit status: 0 done; all sound (verify); all tensors equal to the bit (diff). 1 tensors differ (diff), or an\n"
        "error of ddpt or the system; 2 usage; 4 no checkpoint there, or damaged (ls lists those and ends with 0).\n",
    .run = run,
};
