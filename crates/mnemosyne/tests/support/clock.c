// Lets the program that it is loaded into (LD_PRELOAD) see a wall clock that is ahead of the machine's by as many seconds
// as CLOCK_AHEAD_SECONDS says. Every other clock is the machine's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, time);
    if (!failed && clock == CLOCK_REALTIME) {
        time->tv_sec += atol(getenv("CLOCK_AHEAD_SECONDS"));
    }
    return failed;
}
