#include "base_file.h"

#include "base_failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

base_status base_file_make_folder(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return BASE_FAIL(BASE_ERROR, "cannot make the folder '%s': its name must have 1 to %d characters", path,
                         PATH_MAX - 1);
    memcpy(part, path, n + 1);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot make the folder %s", part);
        *at = end;
        if (end == '\0')
            break;
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot use the folder %s", path);
    if (!S_ISDIR(info.st_mode))
        return BASE_FAIL(BASE_ERROR, "cannot make the folder %s: a file of that name is there", path);
    return BASE_OK;
}

/* `path` becomes the folder that it is in; 0: that is not named. */
static int go_up(char *path)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    path[n] = '\0';
    return n > 0;
}

int base_file_missing_folders(const char *path)
{
    char part[PATH_MAX];
    struct stat info;
    int missing = 0, more = (size_t)snprintf(part, sizeof part, "%s", path) < sizeof part;
    while (more && stat(part, &info) != 0 && errno == ENOENT) {
        missing++;
        more = go_up(part);
    }
    return missing;
}

void base_file_remove_folders(const char *path, int count)
{
    char part[PATH_MAX];
    int more = (size_t)snprintf(part, sizeof part, "%s", path) < sizeof part;
    while (count-- > 0 && more && rmdir(part) == 0)
        more = go_up(part);
}

static base_status partial_name(const char *path, char *name, size_t size)
{
    if ((size_t)snprintf(name, size, "%s.partial", path) >= size)
        return BASE_FAIL(BASE_ERROR, "the name %s is too long", path);
    return BASE_OK;
}

void base_file_sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* A rename is durable once the folder is. */
static void sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    base_file_sync_folder(folder);
}

base_status base_file_commit(const char *path, int fd)
{
    char partial[PATH_MAX];
    base_status status = partial_name(path, partial, sizeof partial);
    if ((base_failpoint(path, "before-fsync") || fsync(fd) != 0) && status == BASE_OK)
        status = BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
    if (close(fd) != 0 && status == BASE_OK)
        status = BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
    if (status == BASE_OK && (base_failpoint(path, "before-rename") || rename(partial, path) != 0))
        status = BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
    if (status != BASE_OK) {
        unlink(partial);
        return status;
    }
    base_failpoint(path, "after-rename");
    sync_folder_of(path);
    base_failpoint(path, "after-folder-fsync");
    return BASE_OK;
}

base_status base_file_write(const char *path, const void *data, size_t nbytes)
{
    char partial[PATH_MAX];
    BASE_TRY(partial_name(path, partial, sizeof partial));
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
    for (size_t done = 0; done < nbytes;) {
        ssize_t n = write(fd, (const char *)data + done, nbytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            base_status status = BASE_FAIL_ERRNO(BASE_ERROR, errno, "cannot write %s", path);
            close(fd);
            unlink(partial);
            return status;
        }
        done += (size_t)n;
    }
    return base_file_commit(path, fd);
}
