/* Plain calls under a model of a kernel. Each prints one line: its name, the answer, and what
 * happened to SIGPIPE. `answers.txt` has the expected lines of each model.
 *
 * All threads block SIGPIPE, and the calls are not made on the first thread. So a signal stays
 * pending where it was raised, and /proc shows where. The model's counters must agree with that.
 * The numbers come from the kernels' headers, not from the model. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct numbers { const char *kernel; int flag, option, set, get; };
static const struct numbers known[] = {
	{ "xnu_6153", 0x80000, 0x1022, 73, 74 }, { "xnu_7195", 0x80000, 0x1022, 73, 74 },
	{ "netbsd", 0x400, 0x800, 14, 13 }, { "freebsd", 0x20000, 0x800, 14, 13 },
	{ "openbsd", 0x400, 0x800, 14, 13 },
};
static const struct numbers *k;
enum { LINUX_NOSIGNAL = 0x4000 };

struct counts { int raised, dropped, by_send_flag, by_option, by_fd_flag, refused; };
static const struct counts *now;
static struct counts before;

static void must(int is_so, const char *what)
{
	if (!is_so) {
		perror(what);
		exit(1);
	}
}
#define MUST(condition) must(condition, #condition)

/* ---- what happened to the signal ------------------------------------------------------------- */

static int has_sigpipe(const char *status, const char *line)
{
	const char *found = strstr(status, line);
	MUST(found != NULL);
	return strtoull(found + strlen(line), NULL, 16) >> (SIGPIPE - 1) & 1;
}

/* What happened to SIGPIPE. Also takes a pending one. */
static const char *signal_result(void)
{
	static char said[200];
	char status[4096] = "";
	int file = open("/proc/thread-self/status", O_RDONLY);
	MUST(file >= 0 && read(file, status, sizeof status - 1) > 0);
	close(file);
	int at_thread = has_sigpipe(status, "SigPnd:"), at_process = has_sigpipe(status, "ShdPnd:");
	uint64_t sigpipe = 1ULL << (SIGPIPE - 1);
	struct timespec none = { 0, 0 };
	while (syscall(SYS_rt_sigtimedwait, &sigpipe, NULL, &none, 8) == SIGPIPE)
		;
	snprintf(said, sizeof said, "%s%s%s%s%s%s%s", at_thread ? " thread" : "",
		 at_process ? " process" : "", now->dropped > before.dropped ? " dropped" : "",
		 now->by_send_flag > before.by_send_flag ? " flag" : "",
		 now->by_option > before.by_option ? " option" : "",
		 now->by_fd_flag > before.by_fd_flag ? " fd_flag" : "",
		 now->refused > before.refused ? " refused" : "");
	if (now->raised - before.raised != at_thread + at_process)
		strcat(said, " (miscounted)");
	return said;
}

static const char *name_of(int error)
{
	static const struct { int error; const char *name; } names[] = {
		{ EAGAIN, "EAGAIN" }, { EBADF, "EBADF" }, { ECONNRESET, "ECONNRESET" },
		{ EINVAL, "EINVAL" }, { ENOPROTOOPT, "ENOPROTOOPT" }, { ENOSYS, "ENOSYS" },
		{ ENOTCONN, "ENOTCONN" }, { ENOTSOCK, "ENOTSOCK" }, { ENOTSUP, "ENOTSUP" },
		{ EPIPE, "EPIPE" }, { EPROTONOSUPPORT, "unsupported" }, { ESPIPE, "ESPIPE" },
		{ EFAULT, "EFAULT" },
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].error == error)
			return names[i].name;
	return strerror(error);
}

enum { UNTOUCHED = 9999 };

static void begin(void)
{
	before = *now;
	errno = UNTOUCHED;
}

enum { A_LOT = 4 << 20 }; /* more than any pipe or socket holds */

static void end(const char *name, long answer)
{
	int error = errno;
	const char *what = signal_result();
	int is_usual = *what && error == (strcmp(what, " refused") ? EPIPE : EINVAL);
	printf("%s |", name);
	if (answer < 0)
		printf("%s%s%s\n", is_usual ? "" : " ", is_usual ? "" : name_of(error), what);
	else if (answer >= 4096 && answer < A_LOT)
		printf(" short%s%s\n", what, error != UNTOUCHED ? " errno" : "");
	else
		printf(" %ld%s%s\n", answer, what, error != UNTOUCHED ? " errno" : "");
}

#define SAY(name, call) (begin(), end(name, call))

/* ---- peers ----------------------------------------------------------------------------------- */

static int peer; /* the other end of the pipe or socket that was made last */

static int to_pipe(void)
{
	int ends[2];
	MUST(pipe(ends) == 0);
	peer = ends[0];
	return ends[1];
}

static int to_socket(int type)
{
	int ends[2];
	MUST(socketpair(AF_UNIX, type, 0, ends) == 0);
	peer = ends[0];
	return ends[1];
}

static int broken(int fd)
{
	close(peer);
	return fd;
}

static int listener(int backlog, struct sockaddr_in *address)
{
	socklen_t len = sizeof *address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	*address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	MUST(bind(fd, (struct sockaddr *)address, len) == 0 && listen(fd, backlog) == 0);
	MUST(getsockname(fd, (struct sockaddr *)address, &len) == 0);
	return fd;
}

static int connected(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(fd, (const struct sockaddr *)address, sizeof *address) == 0);
	return fd;
}

/* A socket that was accepted from a listener with the option or the flag. */
static int accepted(int sets_option, int by_accept4)
{
	struct sockaddr_in address;
	int one = 1, server = listener(1, &address);
	if (sets_option)
		setsockopt(server, SOL_SOCKET, k->option, &one, sizeof one);
	else
		fcntl(server, k->set, 1);
	peer = connected(&address);
	int fd = by_accept4 ? accept4(server, NULL, NULL, SOCK_CLOEXEC) : accept(server, NULL, NULL);
	MUST(fd >= 0 && shutdown(fd, SHUT_WR) == 0);
	return fd;
}

static int set_option(int fd, int on)
{
	return setsockopt(fd, SOL_SOCKET, k->option, &on, sizeof on);
}

static int get_option(int fd)
{
	int on = 0;
	socklen_t len = sizeof on;
	return getsockopt(fd, SOL_SOCKET, k->option, &on, &len) == 0 ? on : -1;
}

static int set_buffer(int fd)
{
	int size = 100000;
	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void set_unknown(int fd)
{
	int one = 1;
	MUST(setsockopt(fd, SOL_SOCKET, 12345, &one, sizeof one) == -1);
}

static int with_option(int fd)
{
	set_option(fd, 1);
	errno = UNTOUCHED;
	return fd;
}

static int with_flag(int fd)
{
	fcntl(fd, k->set, 1);
	errno = UNTOUCHED;
	return fd;
}

/* Events during a call that sleeps, since the buffers are full. */
static int calling;
static void leave(void) { close(peer); }
static void shut_down(void) { MUST(shutdown(calling, SHUT_WR) == 0); }

static pid_t caller;

static void *when_it_sleeps(void *happens)
{
	char path[100], stat[1000];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", caller);
	for (;;) {
		int file = open(path, O_RDONLY);
		ssize_t len = read(file, stat, sizeof stat - 1);
		MUST(file >= 0 && len > 0);
		close(file);
		stat[len] = 0;
		if (strstr(stat, ") S"))
			break;
	}
	((void (*)(void))happens)();
	return NULL;
}

enum how { WRITES, SENDS };

static long while_it_sleeps(int fd, enum how how, void happens(void))
{
	static char data[A_LOT];
	pthread_t other;
	calling = fd;
	caller = (pid_t)syscall(SYS_gettid);
	MUST(pthread_create(&other, NULL, when_it_sleeps, (void *)happens) == 0);
	errno = UNTOUCHED;
	long answer = how == SENDS ? send(fd, data, sizeof data, 0) : write(fd, data, sizeof data);
	int error = errno;
	pthread_join(other, NULL);
	errno = error;
	return answer;
}

/* Fills a descriptor until it takes no more. */
static int filled(int fd)
{
	static char data[A_LOT];
	MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	while (write(fd, data, sizeof data) > 0)
		;
	MUST(errno == EAGAIN && fcntl(fd, F_SETFL, O_RDWR) == 0);
	return fd;
}

static int nonblocking(int fd)
{
	MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	return fd;
}

static long write_a_lot(int fd)
{
	static char data[A_LOT];
	return write(fd, data, sizeof data);
}

/* A TCP connection with small buffers. The close of the peer is a reset. */
static int to_tcp(void)
{
	struct sockaddr_in address;
	struct linger at_once = { 1, 0 };
	int size = 20000, server = listener(1, &address);
	MUST(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
	int fd = connected(&address);
	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
	peer = accept(server, NULL, NULL);
	MUST(setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
	close(server);
	return fd;
}

static int reset(void)
{
	int fd = to_tcp();
	close(peer);
	struct pollfd asked = { fd, 0, 0 };
	MUST(poll(&asked, 1, 5000) == 1);
	return fd;
}

static long message(int fd, int flags)
{
	struct iovec slice = { "x", 1 };
	struct msghdr header = { .msg_iov = &slice, .msg_iovlen = 1 };
	return sendmsg(fd, &header, flags);
}

static long messages(int fd, int flags)
{
	struct iovec slice = { "x", 1 };
	struct mmsghdr two[2] = { { .msg_hdr = { .msg_iov = &slice, .msg_iovlen = 1 } } };
	two[1] = two[0];
	return sendmmsg(fd, two, 2, flags);
}

static const void *volatile bad = (void *)8;
static struct iovec two[2] = { { "x", 1 }, { "y", 1 } };

/* The number of datagrams that wait. */
static long received(int fd)
{
	char byte;
	long count = 0;
	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		count++;
	errno = UNTOUCHED;
	return count;
}

/* ---- the calls ------------------------------------------------------------------------------- */

static void pipes(void)
{
	int fd;
	SAY("write: pipe", write(to_pipe(), "xy", 2));
	SAY("write: broken pipe", write(broken(to_pipe()), "x", 1));
	SAY("write: broken pipe, nothing", write(broken(to_pipe()), "", 0));
	SAY("write: pipe, nothing", write(to_pipe(), "", 0));
	SAY("writev: broken pipe", writev(broken(to_pipe()), two, 2));
	SAY("pwrite: broken pipe", pwrite(broken(to_pipe()), "x", 1, 0));
	SAY("send: pipe", send(to_pipe(), "x", 1, 0));
	SAY("write: bad pointer", write(to_pipe(), bad, 1));
	SAY("write: nonblocking pipe", write_a_lot(nonblocking(to_pipe())));
	SAY("write: pipe whose reader leaves", while_it_sleeps(to_pipe(), WRITES, leave));

	SAY("F_SETNOSIGPIPE: pipe", fcntl(to_pipe(), k->set, 1));
	SAY("F_SETNOSIGPIPE: closed descriptor", fcntl(-1, k->set, 1));
	SAY("F_GETNOSIGPIPE: pipe", fcntl(to_pipe(), k->get));
	SAY("F_GETNOSIGPIPE: pipe with flag", fcntl(with_flag(to_pipe()), k->get));
	SAY("write: pipe with flag", write(broken(with_flag(to_pipe())), "x", 1));
	SAY("writev: pipe with flag", writev(broken(with_flag(to_pipe())), two, 2));
	fd = with_flag(to_pipe());
	fcntl(fd, k->set, 0);
	SAY("write: pipe, flag taken away", write(broken(fd), "x", 1));
	fd = to_pipe();
	fcntl(peer, k->set, 1);
	SAY("write: pipe, flag of its reader", write(broken(fd), "x", 1));
	fd = to_pipe();
	with_flag(dup(fd));
	SAY("write: pipe, flag of a duplicate", write(broken(fd), "x", 1));
	fd = to_pipe();
	pid_t child = fork();
	if (child == 0)
		_exit(!with_flag(fd));
	waitpid(child, NULL, 0);
	SAY("write: pipe, flag of a forked child", write(broken(fd), "x", 1));
	fd = with_flag(to_pipe());
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	SAY("write: pipe, flag, F_SETFL", write(broken(fd), "x", 1));
	fd = with_flag(to_pipe());
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
	SAY("write: pipe, flag, F_GETFL, F_SETFL", write(broken(fd), "x", 1));
	SAY("F_GETFL: no flag", fcntl(to_pipe(), F_GETFL) >> 24 & 1);
	SAY("F_GETFL: shows the flag", fcntl(with_flag(to_pipe()), F_GETFL) >> 24 & 1);

	fd = with_flag(to_pipe());
	set_unknown(fd);
	SAY("write: pipe, flag, setsockopt", write(broken(fd), "x", 1));

	char path[] = "/tmp/kernels-XXXXXX";
	close(mkstemp(path));
	MUST(unlink(path) == 0 && mkfifo(path, 0600) == 0);
	peer = open(path, O_RDONLY | O_NONBLOCK);
	fd = with_flag(open(path, O_WRONLY));
	int again = open(path, O_WRONLY);
	MUST(fd >= 0 && again >= 0 && unlink(path) == 0);
	SAY("write: FIFO with flag", write(broken(fd), "x", 1));
	SAY("write: FIFO opened again", write(again, "x", 1));

	signal(SIGPIPE, SIG_IGN);
	SAY("write: pipe, blocked and ignored", write(broken(to_pipe()), "x", 1));
	signal(SIGPIPE, SIG_DFL);
}

static void sockets(void)
{
	int fd;
	SAY("send: stream", send(to_socket(SOCK_STREAM), "xy", 2, 0));
	SAY("write: stream", write(to_socket(SOCK_STREAM), "xy", 2));
	fd = broken(to_socket(SOCK_STREAM));
	SAY("write: broken stream", write(fd, "x", 1));
	SAY("writev: broken stream", writev(fd, two, 2));
	SAY("send: broken stream", send(fd, "x", 1, 0));
	SAY("sendto: broken stream", sendto(fd, "x", 1, 0, NULL, 0));
	SAY("sendmsg: broken stream", message(fd, 0));
	SAY("sendmmsg: broken stream", messages(fd, 0));
	SAY("sendmmsg: stream", messages(to_socket(SOCK_STREAM), 0));
	SAY("send, flag: broken stream", send(fd, "x", 1, k->flag));
	SAY("send, std's flag: broken stream", send(fd, "x", 1, LINUX_NOSIGNAL));
	SAY("sendto, flag: broken stream", sendto(fd, "x", 1, k->flag, NULL, 0));
	SAY("sendmsg, flag: broken stream", message(fd, k->flag));
	SAY("sendmmsg, flag: broken stream", messages(fd, k->flag));
	SAY("send, flag: stream", send(to_socket(SOCK_STREAM), "xy", 2, k->flag));
	fd = to_socket(SOCK_STREAM);
	SAY("write: nonblocking stream", write_a_lot(nonblocking(fd)));
	fd = to_socket(SOCK_STREAM);
	SAY("send: stream whose reader leaves", while_it_sleeps(fd, SENDS, leave));
	fd = to_socket(SOCK_STREAM);
	SAY("write: stream whose reader leaves", while_it_sleeps(fd, WRITES, leave));
	fd = to_socket(SOCK_STREAM);
	SAY("send: stream, SHUT_WR meanwhile", while_it_sleeps(fd, SENDS, shut_down));
	fd = to_socket(SOCK_STREAM);
	MUST(shutdown(fd, SHUT_WR) == 0);
	SAY("send: stream after SHUT_WR", send(fd, "x", 1, 0));
	fd = to_socket(SOCK_DGRAM);
	MUST(shutdown(fd, SHUT_WR) == 0);
	SAY("send: datagram after SHUT_WR", send(fd, "x", 1, 0));
	SAY("write: datagram after SHUT_WR", write(fd, "x", 1));
	fd = to_socket(SOCK_DGRAM);
	MUST(send(fd, "", 0, 0) == 0 && write(fd, "", 0) == 0 && writev(fd, two, 1) == 1);
	SAY("datagrams: 2 of nothing and another", received(peer));
	int ends[2], none = socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends);
	SAY("socketpair: seqpacket", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	SAY("socket: seqpacket", socket(AF_UNIX, SOCK_SEQPACKET, 0) < 0 ? -1 : 0);
	close(ends[0]);
	SAY("send: broken seqpacket", none ? 0 : send(ends[1], "x", 1, 0));

	SAY("setsockopt: option", set_option(to_socket(SOCK_STREAM), 1));
	SAY("setsockopt: option, pipe", set_option(to_pipe(), 1));
	SAY("setsockopt: option, TCP", set_option(socket(AF_INET, SOCK_STREAM, 0), 1));
	fd = to_socket(SOCK_STREAM);
	if (strcmp(k->kernel, "openbsd") != 0)
		SAY("setsockopt: option, 2 bytes", setsockopt(fd, SOL_SOCKET, k->option, "on", 2));
	SAY("getsockopt: option", get_option(to_socket(SOCK_STREAM)));
	SAY("getsockopt: option, set", get_option(with_option(to_socket(SOCK_STREAM))));
	fd = broken(with_option(to_socket(SOCK_STREAM)));
	SAY("write: stream with option", write(fd, "x", 1));
	SAY("send: stream with option", send(fd, "x", 1, 0));
	SAY("write: duplicate of it", write(dup(fd), "x", 1));
	fd = with_option(to_socket(SOCK_STREAM));
	set_option(fd, 0);
	SAY("send: option taken away", send(broken(fd), "x", 1, 0));
	fd = with_option(to_socket(SOCK_STREAM));
	set_buffer(fd);
	SAY("send: option, setsockopt", send(broken(fd), "x", 1, 0));
	fd = with_option(to_socket(SOCK_STREAM));
	MUST(fcntl(fd, F_SETFL, O_RDWR) == 0);
	SAY("getsockopt: option, F_SETFL", get_option(fd));
	SAY("send: option, F_SETFL", send(broken(fd), "x", 1, 0));
	fd = with_option(to_socket(SOCK_STREAM));
	MUST(fcntl(fd, F_SETFL, O_RDWR) == 0 && set_buffer(fd) == 0);
	SAY("send: option, F_SETFL, setsockopt", send(broken(fd), "x", 1, 0));

	SAY("F_SETNOSIGPIPE: stream", fcntl(to_socket(SOCK_STREAM), k->set, 1));
	SAY("getsockopt: stream with flag", get_option(with_flag(to_socket(SOCK_STREAM))));
	SAY("send: stream with flag", send(broken(with_flag(to_socket(SOCK_STREAM))), "x", 1, 0));
	fd = with_flag(to_socket(SOCK_STREAM));
	set_buffer(fd);
	SAY("send: flag, setsockopt", send(broken(fd), "x", 1, 0));
	fd = with_flag(to_socket(SOCK_STREAM));
	set_unknown(fd);
	SAY("send: flag, failing setsockopt", send(broken(fd), "x", 1, 0));

	fd = to_socket(SOCK_STREAM);
	MUST(shutdown(fd, SHUT_WR) == 0);
	SAY("setsockopt: option, after SHUT_WR", set_option(fd, 1));
	fd = broken(to_socket(SOCK_STREAM));
	SAY("setsockopt: option, peer gone", set_option(fd, 1));
	SAY("setsockopt: buffer, peer gone", set_buffer(fd));
	SAY("F_SETNOSIGPIPE: peer gone", fcntl(fd, k->set, 1));
	SAY("getsockopt: option, peer gone", get_option(fd));
}

static void tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	SAY("send: TCP never connected", send(fd, "x", 1, 0));
	SAY("write: TCP never connected", write(fd, "x", 1));
	struct sockaddr_in address;
	int server = listener(0, &address);
	connected(&address); /* fills the queue */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	MUST(connect(fd, (struct sockaddr *)&address, sizeof address) == -1 && errno == EINPROGRESS);
	SAY("send: TCP connecting", send(fd, "x", 1, 0));
	SAY("send: TCP listener", send(server, "x", 1, 0));
	fd = reset();
	SAY("send: TCP after a reset", send(fd, "x", 1, 0));
	SAY("write: TCP after a reset", write(fd, "x", 1));
	char byte;
	SAY("read: TCP after that", read(fd, &byte, 1));
	SAY("send: TCP after that", send(fd, "x", 1, 0));
	SAY("send: TCP, reset meanwhile", while_it_sleeps(to_tcp(), SENDS, leave));
	SAY("send: full TCP, reset meanwhile", while_it_sleeps(filled(to_tcp()), SENDS, leave));
	SAY("send, flag: TCP after a reset", send(reset(), "x", 1, k->flag));
	SAY("setsockopt: option, after a reset", set_option(reset(), 1));
	SAY("send: accepted, option", send(accepted(1, 0), "x", 1, 0));
	SAY("send: accept4, option", send(accepted(1, 1), "x", 1, 0));
	SAY("send: accepted, flag", send(accepted(0, 0), "x", 1, 0));
	fd = accepted(0, 0);
	set_buffer(fd);
	SAY("send: accepted, flag, setsockopt", send(fd, "x", 1, 0));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	MUST(shutdown(fd, SHUT_WR) == 0);
	SAY("send: UDP after SHUT_WR", send(fd, "x", 1, 0));
}

typedef int (*apple_sendfile)(int, int, off_t, off_t *, void *, int);
typedef int (*freebsd_sendfile)(int, int, off_t, size_t, void *, off_t *, int);
static int file;
static off_t sent;

/* The number of bytes sent, or the error. */
static long apple(int fd)
{
	apple_sendfile call = (apple_sendfile)dlsym(RTLD_DEFAULT, "model_sendfile_apple");
	sent = 6;
	return call(file, fd, 1, &sent, NULL, 0) == 0 ? (long)sent : -1;
}

static long freebsd(int fd)
{
	freebsd_sendfile call = (freebsd_sendfile)dlsym(RTLD_DEFAULT, "model_sendfile_freebsd");
	return call(file, fd, 1, 6, NULL, &sent, 0) == 0 ? (long)sent : -1;
}

static void sendfiles(void)
{
	file = memfd_create("file", 0);
	MUST(write(file, "0123456789", 10) == 10);
	SAY("Linux's sendfile", sendfile(to_socket(SOCK_STREAM), file, NULL, 1));
	int is_freebsd = strcmp(k->kernel, "freebsd") == 0;
	if (!is_freebsd && strncmp(k->kernel, "xnu", 3) != 0)
		return;
	long (*send_file)(int) = is_freebsd ? freebsd : apple;
	SAY("its own sendfile", send_file(to_socket(SOCK_STREAM)));
	int fd = to_socket(SOCK_STREAM);
	MUST(shutdown(fd, SHUT_WR) == 0);
	SAY("its own sendfile: after SHUT_WR", send_file(fd));
	SAY("its own sendfile: peer gone", send_file(broken(to_socket(SOCK_STREAM))));
	SAY("its own sendfile: never connected", send_file(socket(AF_INET, SOCK_STREAM, 0)));
	SAY("its own sendfile: datagram", send_file(to_socket(SOCK_DGRAM)));
	SAY("its own sendfile: pipe", send_file(to_pipe()));
}

/* In a child, since the model aborts where the kernel has no such call. */
#define SAY_IN_CHILD(name, call) say_child(name, ({ \
	pid_t child_ = fork(); \
	if (child_ == 0) { \
		close(2); \
		_exit((call) == -1); \
	} \
	int status_; \
	waitpid(child_, &status_, 0); \
	status_; }))

static void say_child(const char *name, int status)
{
	printf("%s | %s\n", name, WIFSIGNALED(status) ? "aborts" :
	       WEXITSTATUS(status) ? "fails" : "is there");
}

static int sigpipe_is_pending(void)
{
	sigset_t set;
	MUST(sigpending(&set) == 0);
	return sigismember(&set, SIGPIPE);
}

static void signals(void)
{
	sigset_t sigpipe;
	struct timespec none = { 0, 0 };
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	SAY_IN_CHILD("sigtimedwait", (raise(SIGPIPE), sigtimedwait(&sigpipe, NULL, &none)));
	SAY_IN_CHILD("sigwaitinfo", (raise(SIGPIPE), sigwaitinfo(&sigpipe, NULL)));
	ssize_t (*pwritev2_)(int, const struct iovec *, int, off_t, int) =
		(ssize_t (*)(int, const struct iovec *, int, off_t, int))
			dlsym(RTLD_DEFAULT, "pwritev2"); /* some libcs lack it */
	SAY_IN_CHILD("pwritev2", pwritev2_(to_pipe(), two, 2, -1, 0));
	SAY_IN_CHILD("syscall: pwritev2", syscall(SYS_pwritev2, to_pipe(), two, 2, -1L, -1L, 0));
	SAY("splice", splice(to_pipe(), NULL, to_pipe(), NULL, 1, 0));
	SAY("tee", tee(peer, to_pipe(), 1, 0));
	SAY("vmsplice", vmsplice(to_pipe(), two, 2, 0));
	SAY("copy_file_range", copy_file_range(file, NULL, file, NULL, 1, 0));
	kill(getpid(), SIGPIPE);
	printf("sigpending: at the process | %d\n", sigpipe_is_pending());
	raise(SIGPIPE);
	printf("sigpending: at the thread | %d\n", sigpipe_is_pending());
	signal_result();
}

static void *all_calls(void *unused)
{
	(void)unused;
	pipes();
	sockets();
	tcp();
	sendfiles();
	signals();
	return NULL;
}

/* With MODEL_STD_SETS_OPTION. */
static void *calls_of_std(void *unused)
{
	(void)unused;
	SAY("std: send: TCP after a reset", send(reset(), "x", 1, 0));
	SAY("std: send: broken socketpair", send(broken(to_socket(SOCK_STREAM)), "x", 1, 0));
	return NULL;
}

int main(void)
{
	const char *(*kernel)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "model_kernel");
	const struct counts *(*read_counts)(void) =
		(const struct counts *(*)(void))dlsym(RTLD_DEFAULT, "model_counts");
	MUST(kernel && read_counts);
	now = read_counts();
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].kernel, kernel()) == 0)
			k = &known[i];
	MUST(k != NULL);
	setvbuf(stdout, NULL, _IOLBF, 0); /* a child must not inherit buffered output */
	signal(SIGPIPE, SIG_DFL);
	sigset_t sigpipe;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &sigpipe, NULL);
	pthread_t thread;
	int is_std = getenv("MODEL_STD_SETS_OPTION") != NULL;
	MUST(pthread_create(&thread, NULL, is_std ? calls_of_std : all_calls, NULL) == 0);
	pthread_join(thread, NULL);
	if (is_std)
		return 0;
	kill(getpid(), SIGPIPE);
	printf("sigpending: first thread, process | %d\n", sigpipe_is_pending());
	return 0;
}
