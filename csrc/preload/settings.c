/* What `locald exec --preload` asked for, by its environment, which is restored for the programs that are not meant.
 *
 *   LOCALD_PRELOAD_PID=N       only process N, whatever it executes; without it (--deep) all that inherit it
 *   LOCALD_PRELOAD_LOOPBACK=1  a bind to every address is one to the loopback
 *
 * A child of N still has the library, since the system read the environment before us, and makes no use of it; its own
 * children have not even that.  It is the process and not the program that counts: `#!/usr/bin/env node` is three
 * programs in one process, and the last one is meant. */
#include "preload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings settings;

static const char library[] = "/locald-preload.";

/* The value of the variable that this entry is, or NULL. */
static char *value_of(char *entry, const char *name)
{
    const size_t size = strlen(name);

    return strncmp(entry, name, size) == 0 && entry[size] == '=' ? entry + size + 1 : NULL;
}

static int is_ours(const char *word, size_t size)
{
    const size_t length = sizeof library - 1;

    for (size_t at = 0; at + length <= size; at++)
        if (memcmp(word + at, library, length) == 0)
            return memchr(word + at + 1, '/', size - at - 1) == NULL;
    return 0;
}

/* Take our library out of the list, in place; the order and the separators of the others stay. */
static void leave_out_ours(char *list)
{
    char *to = list;

    for (const char *from = list; *from != 0;) {
        const size_t size = strcspn(from, ": "), whole = size + (from[size] != 0);
        if (!is_ours(from, size)) {
            memmove(to, from, whole);
            to += whole;
        }
        from += whole;
    }
    *to = 0;
}

/* As if we had never been there: no allocation and no setenv(3), which the program's own environment would outlive. */
static void restore(char **environment)
{
    char **to = environment;

    for (char **from = environment; *from != NULL; from++) {
        char *const list = value_of(*from, os_variable);
        if (list != NULL)
            leave_out_ours(list);
        if (list != NULL && *list == 0)
            continue;
        if (value_of(*from, "LOCALD_PRELOAD_PID") == NULL && value_of(*from, "LOCALD_PRELOAD_LOOPBACK") == NULL)
            *to++ = *from;
    }
    *to = NULL;
}

__attribute__((constructor)) static void read_settings(void)
{
    char **const environment = os_environ();
    const char *pid = NULL, *loopback = NULL;

    if (environment == NULL)
        return;
    for (char **entry = environment; *entry != NULL; entry++) {
        pid = pid != NULL ? pid : value_of(*entry, "LOCALD_PRELOAD_PID");
        loopback = loopback != NULL ? loopback : value_of(*entry, "LOCALD_PRELOAD_LOOPBACK");
    }
    settings.loopback = loopback != NULL;
    settings.active = pid == NULL || strtol(pid, NULL, 10) == (long)getpid();
    if (!settings.active) {
        restore(environment);
        return;
    }
    say_prepare();
    calm_prepare();
}
