/*
 * Makes a disk slow: adds SLOW_SYNC_US microseconds to every fdatasync and fsync of the process
 * that it is preloaded into. The sync itself is still done.
 *
 *   cc -shared -fPIC -O2 -o slow_sync.so benches/slow_sync.c -ldl
 *   SLOW_SYNC_US=2000 LD_PRELOAD=./slow_sync.so beckn-receiver serve
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

typedef int (*sync_function)(int);

static void wait_longer(void) {
    const char *text = getenv("SLOW_SYNC_US");
    long micros = text ? strtol(text, NULL, 10) : 0;
    if (micros <= 0)
        return;
    struct timespec left = {micros / 1000000, micros % 1000000 * 1000};
    /* A signal must not shorten it. */
    while (nanosleep(&left, &left) == -1 && errno == EINTR) {
    }
}

static int slowly(const char *name, int file) {
    sync_function real = (sync_function)dlsym(RTLD_NEXT, name);
    int result = real(file);
    int error = errno;
    wait_longer();
    errno = error;
    return result;
}

int fdatasync(int file) { return slowly("fdatasync", file); }

int fsync(int file) { return slowly("fsync", file); }
