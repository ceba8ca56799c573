/* SPDX-License-Identifier: MIT */
/*
 * Stands before the real init in user-mode Linux: takes the filesystems that its kernel has built in
 * from the list in /proc/filesystems, as if they were modules that are not loaded yet.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int is_hidden(const char *line)
{
    static const char *const hidden[] = {"\text4\n", "\txfs\n", "\tbtrfs\n"};
    for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (strcmp(line, hidden[i]) == 0)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
    FILE *all = fopen("/proc/filesystems", "re");
    FILE *shown = fopen("/filesystems", "we");
    if (!all || !shown)
        return 1;
    for (char line[256]; fgets(line, sizeof line, all);)
        if (!is_hidden(line))
            fputs(line, shown);
    fclose(all);
    fclose(shown);
    mount("/filesystems", "/proc/filesystems", NULL, MS_BIND, NULL);
    execve(NEXT, argv, environ);
    return 1;
}
