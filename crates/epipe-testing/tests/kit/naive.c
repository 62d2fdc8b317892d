/* Code that does not handle SIGPIPE: a test finds its line. */
#include <unistd.h>

long naive_write(int fd) {
    static const char data[] = "lost";
    long written =
        write(fd, data, sizeof data);
    return written;
}
