/* What a power cut would leave: after each fsync below $SYNCED_ROOT, the file that was synced goes, as it is,
   into a shadow folder, and the shadow is kept as one more state. What was never synced is not in it.
   Built and preloaded by test_power_cut.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int states = 0;

static void copy(const char *from, const char *to) {
    char block[65536];
    ssize_t size;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    while (in >= 0 && out >= 0 && (size = read(in, block, sizeof block)) > 0)
        if (write(out, block, size) != size) abort();
    if (in >= 0) close(in);
    if (out >= 0) close(out);
}

static void keep(int fd) {
    const char *root = getenv("SYNCED_ROOT"), *kept = getenv("SYNCED_STATES");
    char link[64], path[4096], shadow[4200], folder[4200], target[4400];
    if (!root || !kept) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    struct stat about;
    if (strncmp(path, root, strlen(root)) || stat(path, &about) || !S_ISREG(about.st_mode)) return;
    snprintf(shadow, sizeof shadow, "%s/shadow", kept);
    mkdir(shadow, 0700);
    snprintf(target, sizeof target, "%s/%s", shadow, strrchr(path, '/') + 1);
    copy(path, target);
    snprintf(folder, sizeof folder, "%s/%06d", kept, states++);
    mkdir(folder, 0700);
    const char *names[] = {"chats.db", "chats.db-wal", "said", NULL};
    for (int i = 0; names[i]; i++) {
        char from[4400], to[4400];
        snprintf(from, sizeof from, "%s/%s", i == 2 ? root : shadow, names[i]);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        if (!access(from, R_OK)) copy(from, to);
    }
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = real(fd);
    if (!result) keep(fd);
    return result;
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (!result) keep(fd);
    return result;
}
