/* SPDX-License-Identifier: MIT */
/* Stage 2's init for the kernel tests: print the arguments, the environment and the mounts. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    char line[4096];
    printf("greeting\n");
    for (int i = 0; i < argc; i++)
        printf("argument %s\n", argv[i]);
    for (char **word = environ; *word; word++)
        printf("environment %s\n", *word);
    int file = open("/written", O_WRONLY | O_CREAT, 0644);
    printf("writable %s\n", file >= 0 && write(file, "x", 1) == 1 ? "yes" : "no");
    FILE *mounts = fopen("/proc/self/mountinfo", "r");
    while (mounts && fgets(line, sizeof line, mounts))
        printf("mount %s", line);
    return 0;
}
