// host LIBRARY FUNCTION: loads a library and calls one of its functions. Like most C programs, it
// does nothing about SIGPIPE.

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s LIBRARY FUNCTION\n", argv[0]);
        return 2;
    }
    void *library = dlopen(argv[1], RTLD_NOW);
    int (*function)(void) = library ? (int (*)(void))dlsym(library, argv[2]) : NULL;
    if (function == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }

    printf("%s... ", argv[2]);
    fflush(stdout);
    int error = function();
    printf("returned %d: %s\n", error, strerror(error));
    puts("The host goes on.");
    return 0;
}
