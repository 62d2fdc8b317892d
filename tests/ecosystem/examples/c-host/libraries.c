// libraries LIBRARY bare|calls|start: shows what a C library does when its peer vanishes. SIGPIPE
// has its default action. ci/libraries runs this program.
//
// "start" starts the library under epipe's `suppressed`. "calls" puts the later call under it, and
// "bare" nothing. A process that survives prints what SIGPIPE does in it afterwards.

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <git2.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <libssh2.h>
#include <librdkafka/rdkafka.h>
#include <mosquitto.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// From libc_host.so.
int suppressed(void (*function)(void));
int disposition(void);

static struct sockaddr_in address;
static int peer_vanishes[2];
static pid_t peer;
static atomic_bool breaks; // whether the peer vanishes before the next send
static sem_t broken;       // posted when a send fails with EPIPE

// Starts a process that accepts once, answers a request if there is an answer, and vanishes when
// `peer_vanishes` is closed: first a FIN, then a reset. The first send after that fails with EPIPE.
static void begin_peer(const char *answer, size_t length) {
    char request[1000];
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener, (struct sockaddr *)&address, size);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &size);
    pipe(peer_vanishes);
    peer = fork();
    if (peer == 0) {
        struct linger none = {1, 0};
        close(peer_vanishes[1]);
        int stream = accept(listener, NULL, NULL);
        if (length > 0 && read(stream, request, sizeof request) > 0)
            syscall(SYS_write, stream, answer, length);
        read(peer_vanishes[0], request, 1); // also returns when the parent ends
        shutdown(stream, SHUT_WR);
        setsockopt(stream, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        close(stream);
        _exit(0);
    }
    close(listener);
}

static int connected(void) {
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    connect(stream, (struct sockaddr *)&address, sizeof address);
    return stream;
}

// The libraries call these functions in place of libc's. The peer vanishes immediately before a
// send. If it vanished earlier, a library with a thread of its own would notice that first.
static void before_send(int descriptor) {
    struct pollfd reset = {descriptor, 0, 0};
    int domain = 0;
    socklen_t size = sizeof domain;
    getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    if (domain == AF_INET && atomic_exchange(&breaks, 0)) {
        close(peer_vanishes[1]);
        waitpid(peer, NULL, 0);
        poll(&reset, 1, -1); // for POLLERR and POLLHUP
    }
}

static ssize_t after_send(ssize_t sent) {
    int error = errno;
    if (sent < 0 && error == EPIPE)
        sem_post(&broken);
    errno = error;
    return sent;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    before_send(descriptor);
    return after_send(syscall(SYS_write, descriptor, bytes, length));
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    before_send(descriptor);
    return after_send(syscall(SYS_writev, descriptor, parts, count));
}

ssize_t sendto(int descriptor, const void *bytes, size_t length, int flags,
               const struct sockaddr *to, socklen_t size) {
    before_send(descriptor);
    return after_send(syscall(SYS_sendto, descriptor, bytes, length, flags, to, size));
}

ssize_t send(int descriptor, const void *bytes, size_t length, int flags) {
    return sendto(descriptor, bytes, length, flags, NULL, 0);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    before_send(descriptor);
    return after_send(syscall(SYS_sendmsg, descriptor, message, flags));
}

static int plain;
static void begin_plain(void) { plain = connected(); }
static void call_plain(void) { write(plain, "x", 1); }

static redisContext *redis;
static void begin_hiredis(void) { redis = redisConnect("127.0.0.1", ntohs(address.sin_port)); }
static void call_hiredis(void) { redisCommand(redis, "PING"); }

static SSL *ssl;
static void begin_openssl(void) {
    ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
    SSL_set_fd(ssl, connected());
}
static void call_openssl(void) { SSL_connect(ssl); }

static struct mosquitto *mosquitto;
static void begin_mosquitto(void) {
    mosquitto_lib_init();
    mosquitto = mosquitto_new(NULL, true, NULL);
    mosquitto_connect(mosquitto, "127.0.0.1", ntohs(address.sin_port), 60);
}
static void begin_mosquitto_default(void) {
    begin_mosquitto();
    signal(SIGPIPE, SIG_DFL);
}
static void begin_mosquitto_thread(void) {
    begin_mosquitto_default();
    mosquitto_loop_start(mosquitto);
}
static void call_mosquitto(void) { mosquitto_publish(mosquitto, NULL, "topic", 1, "x", 0, false); }

static CURL *curl;
static void begin_curl(const char *scheme, long no_signal) {
    char url[100];
    curl_global_init(CURL_GLOBAL_ALL);
    curl = curl_easy_init();
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", scheme, ntohs(address.sin_port));
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, no_signal);
}
static void begin_http(void) { begin_curl("http", 0); }
static void begin_https_nosignal(void) { begin_curl("https", 1); }
static void call_curl(void) { curl_easy_perform(curl); }

static git_remote *git;
static void begin_git(void) {
    char url[100];
    git_libgit2_init();
    snprintf(url, sizeof url, "git://127.0.0.1:%d/repository", ntohs(address.sin_port));
    git_remote_create_detached(&git, url);
}
static void call_git(void) { git_remote_connect(git, GIT_DIRECTION_FETCH, NULL, NULL, NULL); }

static void begin_postgres(void) {}
static void call_postgres(void) {
    char parameters[100];
    snprintf(parameters, sizeof parameters, "host=127.0.0.1 port=%d", ntohs(address.sin_port));
    PQconnectdb(parameters);
}

static LIBSSH2_SESSION *ssh;
static void begin_ssh(void) {
    libssh2_init(0);
    ssh = libssh2_session_init();
    plain = connected();
}
static void begin_ssh_flag(void) {
    begin_ssh();
    libssh2_session_flag(ssh, LIBSSH2_FLAG_SIGPIPE, 1);
}
static void call_ssh(void) { libssh2_session_handshake(ssh, plain); }

static rd_kafka_t *kafka;
static void begin_kafka(void) {
    char servers[100], error[100];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(servers, sizeof servers, "127.0.0.1:%d", ntohs(address.sin_port));
    rd_kafka_conf_set(conf, "bootstrap.servers", servers, error, sizeof error);
    rd_kafka_conf_set(conf, "log_level", "0", error, sizeof error);
    breaks = 1; // its thread connects and sends immediately
    kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
}
static void call_kafka(void) { rd_kafka_poll(kafka, 0); }

static const struct library {
    const char *name;
    void (*begin)(void);
    void (*call)(void);
} libraries[] = {
    {"write", begin_plain, call_plain},
    {"hiredis", begin_hiredis, call_hiredis},
    {"openssl", begin_openssl, call_openssl},
    {"mosquitto", begin_mosquitto, call_mosquitto},
    {"mosquitto_default", begin_mosquitto_default, call_mosquitto},
    {"mosquitto_thread", begin_mosquitto_thread, call_mosquitto},
    {"git", begin_git, call_git},
    {"postgres", begin_postgres, call_postgres},
    {"http", begin_http, call_curl},
    {"https_nosignal", begin_https_nosignal, call_curl},
    {"ssh", begin_ssh, call_ssh},
    {"ssh_flag", begin_ssh_flag, call_ssh},
    {"kafka", begin_kafka, call_kafka},
};

int main(int argc, char **argv) {
    static const char connack[] = {0x20, 2, 0, 0};
    static const char *const says[] = {"default", "ignored", "handled"};
    const struct library *library = libraries;
    struct timespec until;
    if (argc != 3)
        return 2;
    while (strcmp(library->name, argv[1]) != 0)
        if (++library == libraries + sizeof libraries / sizeof *libraries)
            return 2;
    signal(SIGPIPE, SIG_DFL); // the caller may ignore it
    sem_init(&broken, 0, 0);
    // An MQTT broker first accepts the client by a CONNACK.
    begin_peer(connack, strncmp(argv[1], "mosquitto", 9) == 0 ? sizeof connack : 0);

    if (strcmp(argv[2], "start") != 0)
        library->begin();
    else if (suppressed(library->begin) != 0)
        return 3;
    if (library->begin != begin_kafka)
        breaks = 1;
    if (strcmp(argv[2], "calls") != 0)
        library->call();
    else if (suppressed(library->call) != 0)
        return 3;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    if (sem_timedwait(&broken, &until) != 0)
        return 4; // it sent nothing
    puts(says[disposition()]);
    return 0;
}
