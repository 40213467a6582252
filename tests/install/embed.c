/* embed.c CONFIG OUT [KEY=VALUE [CHECKPOINT]]: a user's program, built against the installed ddpt.h: a few steps of
 * CONFIG, going on from CHECKPOINT. */
#include <ddpt.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *sets[] = {"train.max_steps=5", "data.train_samples=640", "data.test_samples=100",
                          argc > 3 ? argv[3] : NULL};
    ddpt_run *run = NULL;
    ddpt_result result = {0};
    if (argc < 3)
        return 99;
    ddpt_status status = ddpt_run_open(argv[1], argc > 3 ? 4 : 3, sets, &run);
    if (status == DDPT_OK && argc > 4)
        status = ddpt_run_resume(run, argv[4]);
    if (status == DDPT_OK)
        status = ddpt_run_train(run, argv[2], &result);
    if (status != DDPT_OK)
        fprintf(stderr, "%s\n", ddpt_error());
    ddpt_run_close(&run);
    if (status != DDPT_OK)
        return (int)status;
    printf("ddpt %s: %d steps, loss %.4f, accuracy %.2f, parameters %s\n", ddpt_version(), (int)result.steps,
           result.train_loss, result.test_accuracy, result.param_digest);
    int plausible = !run && result.steps == 5 && isfinite(result.train_loss) && result.train_loss > 0.0 &&
                    result.test_accuracy >= 0.0 && result.test_accuracy <= 1.0 && result.seconds > 0.0 &&
                    strlen(result.param_digest) == 16;
    return plausible ? 0 : 98;
}
