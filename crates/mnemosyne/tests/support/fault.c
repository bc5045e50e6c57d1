// Makes one kind of call fail on some files of the program that it is loaded into (LD_PRELOAD), for as long as the
// file FAULT_WHEN exists, and writes down in FAULT_LOG what it has let fail.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Whether this call is to fail: FAULT_CALL on a file whose path contains FAULT_PATH, with FAULT_ERRNO.
static int fails(const char *call, int fd) {
    if (strcmp(call, getenv("FAULT_CALL")) != 0 || access(getenv("FAULT_WHEN"), F_OK) != 0) return 0;
    char link[64], path[4096], line[4200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strstr(path, getenv("FAULT_PATH")) == NULL) return 0;
    int log = open(getenv("FAULT_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    int written = snprintf(line, sizeof line, "%s %s\n", call, path);
    if (write(log, line, written) != written) abort();
    close(log);
    errno = atoi(getenv("FAULT_ERRNO"));
    return 1;
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails("fdatasync", fd) ? -1 : real(fd);
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", fd) ? -1 : real(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails("pwrite", fd) ? -1 : real(fd, bytes, count, offset);
}
