/* models.c - see models.h. */
#include "coordinator/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int try_at(const char *dir, const char *name, char *path, size_t n)
{
    if ((size_t)snprintf(path, n, "%s/%s", dir, name) >= n)
        return 0;
    return access(path, R_OK) == 0;
}

int model_find(const char *dir, const char *name, char *path, size_t n)
{
    char home_dir[2048] = "";
    char exe_dir[2048] = "";
    const char *home = getenv("HOME");
    const char *env = getenv("DOCENT_MODELS");
    ssize_t len;

    if (strchr(name, '/')) {
        snprintf(path, n, "%s", name);
        return access(path, R_OK) == 0;
    }
    if (!dir || !*dir)
        dir = env;
    if (dir && *dir) { /* told where: look nowhere else */
        if (try_at(dir, name, path, n))
            return 1;
        snprintf(path, n, "%s", dir);
        return 0;
    }
    if (try_at("models", name, path, n))
        return 1;
    len = readlink("/proc/self/exe", exe_dir, sizeof exe_dir - 16);
    if (len > 0) { /* PREFIX/build/docent -> PREFIX/models */
        char *slash;
        exe_dir[len] = '\0';
        slash = strrchr(exe_dir, '/');
        if (slash)
            *slash = '\0';
        slash = strrchr(exe_dir, '/');
        if (slash)
            snprintf(slash, sizeof exe_dir - (size_t)(slash - exe_dir), "/models");
        if (try_at(exe_dir, name, path, n))
            return 1;
    }
    if (home && *home) {
        snprintf(home_dir, sizeof home_dir, "%s/.local/share/docent/models", home);
        if (try_at(home_dir, name, path, n))
            return 1;
    }
    snprintf(path, n, "./models, %s, %s", exe_dir, home_dir);
    return 0;
}
