// A server of many kinds, for `ci/servers` and the tests. It shows how real programs react to
// clients that vanish, and what they forget. It reads a request, works for a while, and answers.
// Each word of the command line sets one option:
//
// - `port=0` or `unix=PATH`: the address. The port is on loopback and is printed. 0 is any port.
// - `backlog=64`: the length of the listener's queue.
// - `mode=sequential`: one client after the other. `thread`, `fork`: a thread or a process for each
//   client. `pool`: four processes accept. `epoll`: one thread, with timers. `duplex`: for each
//   client, one thread reads and another writes.
// - `think=0`: milliseconds before the answer.
// - `size=100`: bytes of the answer.
// - `write=one`: one call. `two`: two halves. `header`: 40 bytes first. `loop`: until all is
//   written. `writev`: one call with two parts. `chunks`: five parts.
// - `pause=5`: milliseconds between chunks.
// - `check`: stops at the first write that fails. `write=loop` always does.
// - `bye`: sends "bye" after a write has failed.
// - `idle=0`: closes after this many milliseconds without a request. 0 and `epoll`: never.
// - `banner`: sends a greeting first.
// - `echo`: sends back what it has read, for each request.
// - `keep`: answers more than one request.
// - `rdhup-before`: checks for a hang-up before it works on the answer.
// - `rdhup-after`: checks after that, right before it writes.
// - `getpeername`: asks for the peer's address, and drops a client that has gone.
// - `read-to-eof`: reads until the end of the stream for one request.
// - `places=0`: with `thread`, drops each client that comes while this many are connected.
// - `serves=N`: ends with status 0 after N clients (not with `pool` and `epoll`).
// - `supervise`: a parent starts the server again after its death. The port must be given, and is
//   closed meanwhile.
// - `inherit`: like `supervise`, but the parent's listener stays open.
// - `ignore`: ignores SIGPIPE.
// - `flag`: writes with MSG_NOSIGNAL.
// - `panic`: exits with 101 when a write fails, as a Rust panic does.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *mode = "sequential", *policy = "one", *path = NULL;
static double think = 0, pause_ms = 5, idle = 0;
static int port = 0, backlog = 64, serves = -1, size = 100, places = 0;
static _Atomic int open_now = 0;
static bool check, bye, banner, echo, keep, rdhup_before, rdhup_after, peername, to_eof, supervise,
    inherit, ignore, flag, panic;
static char *body;

enum { REQUEST = 65536, HEADER = 40, WORKERS = 4 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static void sleep_ms(double milliseconds) {
    if (milliseconds > 0) {
        usleep((useconds_t)(milliseconds * 1000));
    }
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool hung_up(int client) {
    struct pollfd watched = {.fd = client, .events = POLLRDHUP};
    return poll(&watched, 1, 0) == 1;
}

// Writes with one call. -1: the call failed. SIGPIPE kills the server here.
static ssize_t put(int client, const char *data, size_t length) {
    return flag ? send(client, data, length, MSG_NOSIGNAL) : write(client, data, length);
}

static bool put_in_parts(int client, const char *data, size_t length, size_t most, double wait) {
    bool all = true;
    while (length > 0) {
        size_t count = length < most ? length : most;
        all = put(client, data, count) != -1 && all;
        if (check && !all) {
            return false;
        }
        data += count, length -= count;
        if (wait > 0) {
            sleep_ms(wait);
        } else {
            most = length; // the second write takes the rest
        }
    }
    return all;
}

static bool put_until_all(int client, const char *data, size_t length) {
    while (length > 0) {
        ssize_t count = put(client, data, length);
        if (count == -1) {
            return false;
        }
        data += count, length -= (size_t)count;
    }
    return true;
}

static bool put_vectored(int client, const char *data, size_t length) {
    size_t first = length / 2;
    struct iovec parts[] = {{(void *)data, first}, {(void *)(data + first), length - first}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return (flag ? sendmsg(client, &message, MSG_NOSIGNAL) : writev(client, parts, 2)) != -1;
}

static bool answer(int client, const char *data, size_t length) {
    if (is(policy, "two")) {
        return put_in_parts(client, data, length, (length + 1) / 2, 0);
    } else if (is(policy, "header")) {
        return put_in_parts(client, data, length, HEADER, 0);
    } else if (is(policy, "chunks")) {
        return put_in_parts(client, data, length, (length + 4) / 5, pause_ms);
    } else if (is(policy, "loop")) {
        return put_until_all(client, data, length);
    } else if (is(policy, "writev")) {
        return put_vectored(client, data, length);
    }
    return put(client, data, length) != -1;
}

// Does what comes before the request. False: the client has gone.
static bool greet(int client) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    struct timeval most = {(time_t)(idle / 1000), (suseconds_t)(idle * 1000) % 1000000};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    if (peername && getpeername(client, (struct sockaddr *)&peer, &length) == -1) {
        return false;
    }
    return !banner || put(client, "zoo ready\r\n", 11) != -1;
}

// Reads the request, and returns its length. 0 or less: the client has gone.
static ssize_t take(int client, char *request) {
    ssize_t length = read(client, request, REQUEST);
    if (to_eof && length > 0) {
        ssize_t more;
        while ((more = read(client, request + length, REQUEST - (size_t)length)) > 0) {
            length += more;
        }
        if (more == -1) {
            return -1;
        }
    }
    return rdhup_before && hung_up(client) ? 0 : length;
}

// Sends the answer. False: the connection is over.
static bool reply(int client, const char *request, ssize_t length) {
    if (rdhup_after && hung_up(client)) {
        return false;
    }
    if (!answer(client, echo ? request : body, (size_t)(echo ? length : size))) {
        if (panic) {
            exit(101);
        }
        if (bye) {
            put(client, "bye\r\n", 5);
        }
        return false;
    }
    return keep && !to_eof;
}

static void *serve(void *argument) {
    int client = (int)(long)argument;
    char *request = malloc(REQUEST);
    ssize_t length;
    if (request && greet(client)) {
        while ((length = take(client, request)) > 0) {
            sleep_ms(think);
            if (!reply(client, request, length)) {
                break;
            }
        }
    }
    free(request);
    close(client);
    open_now--;
    return NULL;
}

// A connection with two threads: one reads the requests, and the other answers.
struct duplex {
    int client, requests[2];
};

static void *read_requests(void *argument) {
    struct duplex *it = argument;
    char *request = malloc(REQUEST);
    ssize_t length;
    while (request && (length = take(it->client, request)) > 0) {
        if (write(it->requests[1], &length, sizeof length) == -1) {
            break;
        }
    }
    free(request);
    close(it->requests[1]);
    return NULL;
}

static void *serve_duplex(void *argument) {
    struct duplex it = {.client = (int)(long)argument};
    pthread_t reader;
    ssize_t length;
    if (greet(it.client) && pipe(it.requests) == 0) {
        if (pthread_create(&reader, NULL, read_requests, &it) != 0) {
            fail("pthread_create");
        }
        while (read(it.requests[0], &length, sizeof length) == sizeof length) {
            sleep_ms(think);
            if (!reply(it.client, body, length)) {
                break;
            }
        }
        shutdown(it.client, SHUT_RD); // no more answers, so the reader must end
        pthread_join(reader, NULL);
        close(it.requests[0]);
    }
    close(it.client);
    return NULL;
}

static void in_thread(void *(*what)(void *), int client) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, what, (void *)(long)client) == 0) {
        pthread_detach(thread);
    } else {
        close(client); // too many threads
    }
}

// A request that waits for its answer. Meanwhile the client is not watched.
struct pending {
    int client;
    double due;
    ssize_t length;
    char *request;
};

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1) {
        fail("epoll_ctl");
    }
}

static void serve_by_epoll(int listener) {
    static struct pending pending[1024];
    int count = 0, epoll = epoll_create1(0);
    watch(epoll, listener);
    for (;;) {
        double left = 1000;
        for (int i = 0; i < count; i++) {
            double until = pending[i].due - now_ms();
            left = until < left ? until : left;
        }
        long ns = left > 0 ? (long)(left * 1e6) : 0;
        struct timespec most = {ns / 1000000000, ns % 1000000000};
        struct pollfd ready = {.fd = epoll, .events = POLLIN};
        ppoll(&ready, 1, &most, NULL);
        struct epoll_event event;
        if (count < 1024 && epoll_wait(epoll, &event, 1, 0) == 1) {
            int fd = event.data.fd;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client != -1 && greet(client)) {
                    watch(epoll, client);
                } else if (client != -1) {
                    close(client);
                }
            } else {
                struct pending it = {fd, now_ms() + think, 0, malloc(REQUEST)};
                it.length = take(fd, it.request);
                epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
                if (it.length > 0) {
                    pending[count++] = it;
                } else {
                    free(it.request);
                    close(fd);
                }
            }
        }
        for (int i = 0; i < count; i++) {
            struct pending it = pending[i];
            if (it.due > now_ms()) {
                continue;
            }
            pending[i--] = pending[--count];
            if (reply(it.client, it.request, it.length)) {
                watch(epoll, it.client);
            } else {
                close(it.client);
            }
            free(it.request);
        }
    }
}

static void serve_all(int listener) {
    if (is(mode, "epoll")) {
        serve_by_epoll(listener);
    }
    for (int served = 0; served != serves; served++) {
        int client = accept(listener, NULL, NULL);
        if (client == -1) {
            if (errno == EMFILE || errno == ECONNABORTED || errno == EINTR) {
                sleep_ms(1);
                continue;
            }
            fail("accept");
        }
        if (is(mode, "thread")) {
            if (places > 0 && open_now >= places) {
                close(client);
                continue;
            }
            open_now++;
            in_thread(serve, client);
        } else if (is(mode, "duplex")) {
            in_thread(serve_duplex, client);
        } else if (is(mode, "fork")) {
            if (fork() == 0) {
                close(listener);
                serve((void *)(long)client);
                exit(0);
            }
            close(client);
            while (waitpid(-1, NULL, WNOHANG) > 0) {
            }
        } else {
            serve((void *)(long)client);
        }
    }
    close(listener);
    while (wait(NULL) > 0) {
    }
    pthread_exit(NULL); // the other threads continue; after the last, the exit status is 0
}

static int bind_and_listen(void) {
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listener = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr *address = (struct sockaddr *)&tcp;
    socklen_t length = sizeof tcp;
    if (path) {
        unlink(path);
        strncpy(local.sun_path, path, sizeof local.sun_path - 1);
        address = (struct sockaddr *)&local, length = sizeof local;
    }
    // A process that is just being started may still hold a copy of the last listener of this port.
    int tries = 5000, failed;
    while ((failed = bind(listener, address, length)) == -1 && errno == EADDRINUSE && tries--) {
        usleep(1000);
    }
    if (failed || listen(listener, backlog) == -1) {
        fail("zoo: bind");
    }
    if (!path) {
        getsockname(listener, (struct sockaddr *)&tcp, &length);
        port = ntohs(tcp.sin_port);
    }
    return listener;
}

// Forks this many workers that serve. With `again`, each worker that ends is started again.
static void keep_running(int workers, int listener, bool again) {
    for (int i = 0;; i++) {
        if (i >= workers && wait(NULL) == -1) {
            exit(1); // none is left
        }
        if ((i < workers || again) && fork() == 0) {
            serve_all(listener == -1 ? bind_and_listen() : listener);
        }
    }
}

static void parse(char *word) {
    struct {
        const char *name;
        bool *flag;
        int *number;
        double *ms;
        const char **text;
    } options[] = {
        {"check", .flag = &check}, {"bye", .flag = &bye}, {"banner", .flag = &banner},
        {"echo", .flag = &echo}, {"keep", .flag = &keep}, {"rdhup-before", .flag = &rdhup_before},
        {"rdhup-after", .flag = &rdhup_after}, {"getpeername", .flag = &peername},
        {"read-to-eof", .flag = &to_eof}, {"supervise", .flag = &supervise},
        {"inherit", .flag = &inherit}, {"ignore", .flag = &ignore}, {"flag", .flag = &flag},
        {"panic", .flag = &panic}, {"port", .number = &port}, {"backlog", .number = &backlog},
        {"serves", .number = &serves}, {"places", .number = &places}, {"size", .number = &size},
        {"think", .ms = &think}, {"pause", .ms = &pause_ms}, {"idle", .ms = &idle},
        {"mode", .text = &mode}, {"write", .text = &policy}, {"unix", .text = &path},
    };
    char *value = strchr(word, '=');
    if (value) {
        *value++ = 0;
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!is(word, options[i].name) || !value != !!options[i].flag) {
            continue;
        } else if (options[i].flag) {
            *options[i].flag = true;
        } else if (options[i].number) {
            *options[i].number = atoi(value);
        } else if (options[i].ms) {
            *options[i].ms = atof(value);
        } else {
            *options[i].text = value;
        }
        return;
    }
    fprintf(stderr, "zoo: unknown option: %s\n", word);
    exit(1);
}

static void must_be(const char *word, const char **known) {
    while (*known && !is(word, *known)) {
        known++;
    }
    if (!*known) {
        fprintf(stderr, "zoo: unknown value: %s\n", word);
        exit(2);
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        parse(argv[i]);
    }
    const char *modes[] = {"sequential", "thread", "fork", "pool", "epoll", "duplex", NULL};
    const char *policies[] = {"one", "two", "header", "loop", "writev", "chunks", NULL};
    must_be(mode, modes);
    must_be(policy, policies);
    keep = keep || echo;
    body = memset(malloc((size_t)size + 1), 'z', (size_t)size);
    if (ignore) {
        signal(SIGPIPE, SIG_IGN);
    }
    bool is_pool = is(mode, "pool");
    bool own = supervise && !is_pool; // each process opens the port again
    int listener = own ? -1 : bind_and_listen();
    printf("%d\n", port);
    fflush(stdout);
    if (supervise || inherit || is_pool) {
        keep_running(is_pool ? WORKERS : 1, listener, supervise || inherit);
    }
    serve_all(listener);
}
