/* The bytes of the policy file, if it is root's alone.
 *
 * Everything is asked of the open descriptor, never of the path, and every doubt is a refusal: fusermount3 once fell
 * back to its defaults when its file could not be read. */
#include "os.h"
#include "shim.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_roots(const struct stat *seen, mode_t type)
{
    return (seen->st_mode & S_IFMT) == type && seen->st_uid == 0 && (seen->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Opens the file.  A folder at 2 or less would mean that the caller had closed one: never use it; the file comes after. */
static int open_file(void)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat seen = {.st_mode = 0};

    int folder = open(os_policy_folder, flags | O_DIRECTORY | os_nofollow);
    if (folder <= STDERR_FILENO || fstat(folder, &seen) != 0 || !is_roots(&seen, S_IFDIR))
        return -1;
    return openat(folder, "ports", flags | O_NOFOLLOW);
}

int policyfile_read(char text[POLICY_MAX], size_t *size)
{
    struct stat seen = {.st_mode = 0};
    char beyond;

    int fd = open_file();
    if (fd < 0 || fstat(fd, &seen) != 0 || !is_roots(&seen, S_IFREG))
        return -1;
    if (seen.st_nlink != 1 || seen.st_size < 1 || seen.st_size > POLICY_MAX)
        return -1;
    if (read(fd, text, (size_t)seen.st_size) != seen.st_size || read(fd, &beyond, 1) != 0)
        return -1; /* it shrank or grew while we read */
    *size = (size_t)seen.st_size;
    return 0;
}
