/* test_launch_output.c: the output of workers with their ranks, through pipes as they come. */
#include "launch_output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 2, TAG = 1000, TEXT_MAX = 1 << 20 };

/* Worker w's ends of its pipes: stdout 0, stderr 1. */
typedef struct scene {
    launch_output *output;
    int epoll, ends[WORKERS][2];
} scene;

static void move(scene *self)
{
    struct epoll_event event;
    while (epoll_wait(self->epoll, &event, 1, 0) > 0)
        launch_output_move(self->output, event.data.u32 - TAG);
}

static void say(scene *self, int worker, int which, const char *text)
{
    if (write(self->ends[worker][which], text, strlen(text)) != (ssize_t)strlen(text))
        _exit(2);
    move(self);
}

static int prefix = 1;

static void begin(scene *self)
{
    self->epoll = epoll_create1(0);
    if (launch_output_create(WORKERS, prefix, self->epoll, TAG, &self->output) != BASE_OK)
        _exit(2);
    for (int w = 0; w < WORKERS; w++) {
        int out[2], err[2];
        if (pipe(out) != 0 || pipe(err) != 0)
            _exit(2);
        launch_output_add(self->output, w, (int[]){out[0], err[0]});
        launch_output_name(self->output, w, w);
        self->ends[w][0] = out[1];
        self->ends[w][1] = err[1];
    }
}

static base_status finished; /* of a process */

static void finish(scene *self)
{
    sigset_t none;
    sigemptyset(&none);
    for (int w = 0; w < WORKERS; w++)
        for (int i = 0; i < 2; i++)
            close(self->ends[w][i]);
    finished = launch_output_finish(self->output, &none);
    launch_output_destroy(&self->output);
}

/* Runs `act` in a process whose stdout is a file, or a pipe that is read when it has ended; what came. */
static const char *output_of(void (*act)(scene *))
{
    static char text[TEXT_MAX];
    char name[] = "/tmp/ddpt-output-XXXXXX";
    int fd = mkstemp(name), status = 0;
    assert_true(fd >= 0);
    unlink(name);
    pid_t pid = fork();
    if (pid == 0) {
        scene self;
        dup2(fd, STDOUT_FILENO);
        begin(&self);
        act(&self);
        finish(&self);
        _exit(finished == BASE_OK ? 0 : 77);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    finished = WEXITSTATUS(status) == 77 ? BASE_ERROR : BASE_OK;
    assert_int_equal(WEXITSTATUS(status), finished == BASE_OK ? 0 : 77);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static void two_talk(scene *self)
{
    say(self, 0, 0, "one\ntw");
    say(self, 1, 0, "three\n\n");
    say(self, 0, 0, "o\n");
}

static void lines_are_whole_and_have_their_rank(void **state)
{
    (void)state;
    assert_string_equal(output_of(two_talk), "[0] one\n[1] three\n[1] \n[0] two\n");
}

static void one_stops_in_the_middle(scene *self)
{
    say(self, 1, 0, "half a li");
    say(self, 0, 0, "[0] said already\n[1] quoted\n");
}

static void last_line_gets_its_end_and_no_rank_comes_twice(void **state)
{
    (void)state;
    assert_string_equal(output_of(one_stops_in_the_middle), "[0] said already\n[0] [1] quoted\n[1] half a li\n");
}

static void talk_long(scene *self)
{
    char text[10001];
    memset(text, 'x', 10000);
    text[10000] = '\0';
    say(self, 0, 0, text);
    say(self, 0, 0, "\n");
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    const char *text = output_of(talk_long);
    size_t x = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        assert_memory_equal(line, "[0] ", 4);
        assert_true(strcspn(line, "\n") < 4096);
        x += strspn(line + 4, "x");
    }
    assert_int_equal(x, 10000);
}

static void talk_in_bytes(scene *self)
{
    char bytes[3 * 4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 251 ? i % 251 : 7); /* no 0, which would end the text */
    for (size_t i = 0; i < sizeof bytes; i += 1024) {
        if (write(self->ends[0][0], bytes + i, 1024) != 1024)
            _exit(2);
        move(self);
    }
    say(self, 0, 0, "end\n\nhalf");
}

static void without_ranks_no_byte_changes(void **state)
{
    (void)state;
    prefix = 0;
    const char *text = output_of(talk_in_bytes);
    for (size_t i = 0; i < 3 * 4096; i++)
        assert_int_equal((unsigned char)text[i], i % 251 ? i % 251 : 7);
    assert_string_equal(text + 3 * 4096, "end\n\nhalf");
    assert_string_equal(output_of(two_talk), "one\nthree\n\ntwo\n");
    prefix = 1;
}

static void one_dies_in_a_line_of_stderr(scene *self)
{
    if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        _exit(2);
    say(self, 1, 1, "[cli_1]: ");
    close(self->ends[1][1]);
    move(self);
    say(self, 0, 1, "error: last\n");
    self->ends[1][1] = -1;
}

static void nobody_writes_behind_half_a_line_of_stderr(void **state)
{
    (void)state;
    prefix = 0;
    assert_string_equal(output_of(one_dies_in_a_line_of_stderr), "[cli_1]: \nerror: last\n");
    prefix = 1;
}

static void talk_to_who_is_gone(scene *self)
{
    int nobody[2];
    if (pipe(nobody) != 0 || dup2(nobody[1], STDOUT_FILENO) < 0)
        _exit(2);
    close(nobody[0]);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 1000; i++)
        say(self, i % 2, 0, "somebody may read this\n");
}

static void talk_to_a_full_disk(scene *self)
{
    int full = open("/dev/full", O_WRONLY);
    if (full < 0 || dup2(full, STDOUT_FILENO) < 0)
        _exit(2);
    for (int i = 0; i < 1000; i++)
        say(self, i % 2, 0, "somebody may keep this\n");
}

static void who_cannot_be_told_is_told_of_at_the_end(void **state)
{
    (void)state;
    assert_string_equal(output_of(talk_to_who_is_gone), "");
    assert_int_equal(finished, BASE_ERROR);
    assert_string_equal(output_of(talk_to_a_full_disk), "");
    assert_int_equal(finished, BASE_ERROR);
    output_of(two_talk);
    assert_int_equal(finished, BASE_OK);
}

/* Worker 0 talks until its pipe is full, and tells how many lines that were. */
static _Noreturn void talk_to_nobody(int tell)
{
    scene self;
    int written = 0;
    begin(&self);
    fcntl(self.ends[0][0], F_SETFL, O_NONBLOCK);
    for (; written < 1000000 && write(self.ends[0][0], "0123456789\n", 11) == 11; written++)
        move(&self);
    if (write(tell, &written, sizeof written) != sizeof written)
        _exit(2);
    finish(&self); /* waits for the reader */
    _exit(0);
}

static void reader_that_sleeps_holds_nobody_up(void **state)
{
    (void)state;
    int out[2], told[2], status = 0, wanted = 0, lines = 0;
    char c;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        talk_to_nobody(told[1]);
    }
    close(out[1]);
    assert_int_equal(read(told[0], &wanted, sizeof wanted), sizeof wanted);
    assert_in_range(wanted, 10000, 999999);
    FILE *in = fdopen(out[0], "r");
    for (int column = 0; fread(&c, 1, 1, in) == 1; column = c == '\n' ? 0 : column + 1) {
        assert_true(column < 15 && c == "[0] 0123456789\n"[column]);
        lines += c == '\n';
    }
    fclose(in);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    /* The line that the full pipe took a part of, perhaps. */
    assert_in_range(lines, wanted, wanted + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_whole_and_have_their_rank),
        cmocka_unit_test(last_line_gets_its_end_and_no_rank_comes_twice),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(without_ranks_no_byte_changes),
        cmocka_unit_test(nobody_writes_behind_half_a_line_of_stderr),
        cmocka_unit_test(who_cannot_be_told_is_told_of_at_the_end),
        cmocka_unit_test(reader_that_sleeps_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
