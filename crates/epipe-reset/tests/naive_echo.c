// An echo server as a textbook's first chapter has it: it reads and writes in turns, and has never heard of
// SIGPIPE. `epipe-reset` kills it. Listens on loopback: naive_echo [PORT [MS]], 0 for any; says which.
// Before it answers it thinks for MS milliseconds (default: 0), as one does that asks a database.

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(argc > 1 ? (unsigned short)atoi(argv[1]) : 0),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    useconds_t think = argc > 2 ? 1000 * (useconds_t)atoi(argv[2]) : 0;
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) == -1 || listen(listener, 16) == -1
        || getsockname(listener, (struct sockaddr *)&address, &length) == -1) {
        perror("naive_echo");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        int client = accept(listener, NULL, NULL);
        char line[4096];
        ssize_t n;
        while ((n = read(client, line, sizeof line)) > 0) {
            usleep(think);
            write(client, line, n); // here it dies
        }
        close(client);
    }
}
