/* Models of other kernels: how each kernel treats SIGPIPE. The library is loaded before libc on
 * 64-bit Linux. It is built with -DKERNEL= and the name of a row of the table below.
 *
 * Each write and send is made so that Linux raises nothing. Then the model replaces the answer by
 * that of its kernel, and raises SIGPIPE as that kernel would. `calls.c` makes plain calls, and
 * `answers.txt` has the expected answers of each model. The comments name the functions that were
 * read in the kernels' sources.
 *
 * A library does not see some system calls. A program can make them without libc (Go, rustix,
 * static programs), or by `syscall` (the model sees pwritev2) or io_uring. libc makes some inside
 * stdio, posix_spawn and getaddrinfo.
 *
 * Where a model differs from its kernel:
 * - A socket inherits at accept. The kernels copy the option when the connection arrives. Only
 *   NetBSD's flag of the file is copied at accept.
 * - A signal that all threads block waits at the process. XNU leaves it on its first thread.
 * - Linux chooses the thread that takes a signal of the process. Linux decides what SIG_IGN
 *   discards, and sigwait is Linux's.
 * - If a reset arrives during a send, the send takes the error, and no read reports ECONNRESET.
 * - Unix datagrams to a vanished peer report ECONNREFUSED, not ECONNRESET and then EDESTADDRREQ.
 * - After a blocking connect that was refused, sends report ENOTCONN, not EPIPE.
 * - eventfd exists, though XNU and OpenBSD have none: code that was compiled for Linux needs it.
 * - SOCK_NOSIGPIPE and O_NOSIGPIPE at creation, and sendmsg_x, are left out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef KERNEL
#error "-DKERNEL=xnu_6153, xnu_7195, netbsd, freebsd or openbsd"
#endif
#ifndef WRITE_FLAG
#define WRITE_FLAG 0x100 /* RWF_NOSIGNAL, since Linux 6.18 */
#endif
#define STRING(word) #word
#define NAME(word) STRING(word)

struct kernel {
	int is_xnu;
	int raises_at_process;	/* otherwise at the thread that called */
	int send_flag;		/* the number of MSG_NOSIGNAL */
	int ignores_send_flag;
	int option;		/* the number of SO_NOSIGPIPE; 0: ENOPROTOOPT */
	int set_flag, get_flag;	/* of F_SETNOSIGPIPE and F_GETNOSIGPIPE; 0: EINVAL */
	int file_decides;	/* a flag of the open file, which setsockopt copies the option into */
	int keeps_count;	/* of a write that ended early, as a pipe's reader left */
	int has_sigtimedwait;
};

/* Process: XNU uipc_syscalls.c sendit, sys_generic.c dofilewrite, sys_socket.c soo_write: psignal.
 * NetBSD uipc_syscalls.c do_sys_sendmsg_so, sys_generic.c dofilewrite: psignal. Thread: FreeBSD
 * sys_generic.c dofilewrite, uipc_socket.c sousrsend: tdsignal. OpenBSD sys_generic.c
 * dofilewritev, uipc_syscalls.c sendit: ptsignal of STHREAD.
 *
 * MSG_NOSIGNAL: XNU's sendit checks it since 7195 (macOS 11). 6153 does not know the bit.
 * keeps_count: FreeBSD sys_pipe.c pipe_write sets EPIPE to 0 if anything was written. */
static const __attribute__((unused)) struct kernel
	xnu_6153 = { .is_xnu = 1, .raises_at_process = 1, .send_flag = 0x80000,
		.ignores_send_flag = 1, .option = 0x1022, .set_flag = 73, .get_flag = 74 },
	xnu_7195 = { .is_xnu = 1, .raises_at_process = 1, .send_flag = 0x80000,
		.option = 0x1022, .set_flag = 73, .get_flag = 74 },
	netbsd = { .raises_at_process = 1, .send_flag = 0x400, .option = 0x800, .set_flag = 14,
		.get_flag = 13, .file_decides = 1, .has_sigtimedwait = 1 },
	freebsd = { .send_flag = 0x20000, .option = 0x800, .keeps_count = 1,
		.has_sigtimedwait = 1 },
	openbsd = { .send_flag = 0x400 };
static const struct kernel *const k = &KERNEL;

/* For tests. */
struct counts {
	int raised;		/* the model raised SIGPIPE */
	int dropped;		/* SIGPIPE was ignored */
	int by_send_flag, by_option, by_fd_flag; /* SIGPIPE was not raised: by the flag of a send,
						  * of a socket, of another file */
	int refused;		/* setsockopt on a socket that is shut down */
};
static struct counts counts;
const struct counts *model_counts(void) { return &counts; }
const char *model_kernel(void) { return NAME(KERNEL); }
static void add_to(int *what) { __atomic_add_fetch(what, 1, __ATOMIC_RELAXED); }

/* ---- calls of Linux, without this library's own `syscall` ------------------------------------ */

static long (*next_syscall)(long, ...);
static int std_sets_option;

static __attribute__((constructor)) void start(void)
{
	next_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	std_sets_option = getenv("MODEL_STD_SETS_OPTION") != NULL;
}

#define RAW(...) \
	((next_syscall ? (void)0 : start()), next_syscall(__VA_ARGS__))
/* A call of the model's own, which keeps errno. */
#define ASK(...) \
	({ int saved_ = errno; long answer_ = RAW(__VA_ARGS__); errno = saved_; answer_; })

static int fail(int error)
{
	errno = error;
	return -1;
}

static _Noreturn void stop(const char *what)
{
	RAW(SYS_write, 2, what, strlen(what));
	abort();
}

/* ---- what is known of a descriptor ----------------------------------------------------------- */

/* The state is kept in the open file, as in these kernels: dup, fork and SCM_RIGHTS share it, and a
 * second open does not. The model uses F_SETSIG's number, which Linux keeps there and ignores
 * without O_ASYNC. A socket has one open file, so its option can also be kept there. */
enum {
	OPTION = 1,	/* XNU so_flags and fg_lflags; so_options of the others */
	FILE_FLAG = 2,	/* NetBSD f_flag */
};
enum { NETBSD_O_NOSIGPIPE = 0x01000000 };

static int state(int fd)
{
	long found = ASK(SYS_fcntl, fd, F_GETSIG, 0);
	return found < 0 ? 0 : (int)found;
}

static void set_state(int fd, int bit, int is_on)
{
	ASK(SYS_fcntl, fd, F_SETSIG, is_on ? state(fd) | bit : state(fd) & ~bit);
}

/* The type of a socket, or 0. */
static int socket_type(int fd)
{
	int type;
	socklen_t len = sizeof type;
	return ASK(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 ? type : 0;
}

/* NetBSD sys_setsockopt ends with this, also after an error of the option. */
static void copy_option_into_file(int fd)
{
	if (k->file_decides && socket_type(fd))
		set_state(fd, FILE_FLAG, state(fd) & OPTION);
}

static short polled(int fd)
{
	struct pollfd asked = { fd, POLLIN | POLLRDHUP, 0 };
	struct timespec now = { 0, 0 };
	/* ppoll fails where a limit allows no descriptors. */
	return ASK(SYS_ppoll, &asked, 1, &now, NULL, 0) < 0 ? POLLNVAL : asked.revents;
}

static int has_all(short found, short bits) { return (found & bits) == bits; }

/* Whether the peer has left this pipe, FIFO or stream. */
static int is_broken(int fd)
{
	if (!socket_type(fd))
		return polled(fd) & POLLERR;
	int saved = errno;
	int is_over = polled(fd) & (POLLERR | POLLHUP) ||
		(RAW(SYS_sendto, fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0) == -1 &&
		 errno == EPIPE);
	errno = saved;
	return is_over;
}

/* ---- raising --------------------------------------------------------------------------------- */

/* These kernels drop an ignored signal, even if it is blocked: XNU psignal_internal, NetBSD
 * kpsignal2, FreeBSD tdsendsignal, OpenBSD ptsignal_locked. Linux would queue it. */
static void raise_sigpipe(void)
{
	struct { void (*handler)(int); unsigned long flags; void (*restorer)(void); uint64_t mask; }
		action = { SIG_DFL, 0, NULL, 0 };
	ASK(SYS_rt_sigaction, SIGPIPE, NULL, &action, sizeof action.mask);
	if (action.handler == SIG_IGN) {
		add_to(&counts.dropped);
		return;
	}
	add_to(&counts.raised);
	long process = RAW(SYS_getpid);
	if (k->raises_at_process)
		ASK(SYS_kill, process, SIGPIPE);
	else
		ASK(SYS_tgkill, process, RAW(SYS_gettid), SIGPIPE);
}

/* XNU checks SOF_NOSIGPIPE of a socket and FG_NOSIGPIPE of every other file, which are the same bit
 * here. NetBSD checks the file, also of a socket. FreeBSD checks SO_NOSIGPIPE, and OpenBSD nothing.
 * The functions are those named above. */
static void raise_unless_off(int fd, int has_send_flag)
{
	if (has_send_flag)
		add_to(&counts.by_send_flag);
	else if (state(fd) & (k->file_decides ? FILE_FLAG : OPTION))
		add_to(socket_type(fd) ? &counts.by_option : &counts.by_fd_flag);
	else
		raise_sigpipe();
}

/* ---- writes and sends ------------------------------------------------------------------------ */

/* The error that a socket reports before it looks at the data, or 0: XNU sosendcheck, NetBSD
 * sosend, FreeBSD sosend_generic. EPIPE means that it can send no more, as after a reset
 * (soisdisconnected). It comes before the socket's error, which stays for a read. ENOTCONN means
 * that it is not connected. Linux reports EPIPE then, or waits. */
static int refusal(int fd)
{
	if (!socket_type(fd))
		return 0;
	/* Asked before the poll: a reset may come in between. */
	unsigned char tcp = TCP_ESTABLISHED;
	socklen_t len = sizeof tcp;
	ASK(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &tcp, &len);
	short found = polled(fd);
	if (has_all(found, POLLERR | POLLHUP))
		return EPIPE;
	int was_connected = found & (POLLRDHUP | POLLNVAL);
	if (tcp == TCP_SYN_SENT || tcp == TCP_LISTEN || (tcp == TCP_CLOSE && !was_connected))
		return ENOTCONN;
	return 0;
}

static size_t total(const struct iovec *slices, size_t count)
{
	size_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += slices[i].iov_len;
	return sum;
}

/* Makes the kernel's answer, and raises its signal. A short count becomes EPIPE if the peer left
 * during the call. The kernels keep the count only for errors like EINTR: XNU dofilewrite and
 * sendit, NetBSD and OpenBSD dofilewritev, FreeBSD sousrsend. An empty write to a broken pipe also
 * fails: each pipe_write first checks the reader. */
static ssize_t finish(int fd, ssize_t sent, size_t len, int has_send_flag)
{
	if (sent == -1 && errno == ECONNRESET)
		errno = EPIPE;
	int is_socket = socket_type(fd);
	int is_short = sent >= 0 && ((size_t)sent < len || (len == 0 && !is_socket));
	if (is_short && is_broken(fd) && !(sent > 0 && k->keeps_count && !is_socket))
		sent = fail(EPIPE);
	if (sent == -1 && errno == EPIPE)
		raise_unless_off(fd, has_send_flag);
	return sent;
}

/* A call during which Linux's SIGPIPE is blocked, and taken back. */
static ssize_t masked(long number, int fd, const void *data, size_t len)
{
	uint64_t sigpipe = 1ULL << (SIGPIPE - 1), pending = 0, before = 0;
	struct timespec now = { 0, 0 };
	RAW(SYS_rt_sigprocmask, SIG_BLOCK, &sigpipe, &before, sizeof before);
	RAW(SYS_rt_sigpending, &pending, sizeof pending);
	ssize_t sent = RAW(number, fd, data, len);
	int saved = errno;
	if (!(pending & sigpipe) && (sent == -1 ? saved == EPIPE : polled(fd) & POLLERR))
		RAW(SYS_rt_sigtimedwait, &sigpipe, NULL, &now, sizeof sigpipe);
	RAW(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
	errno = saved;
	return sent;
}

ssize_t writev(int fd, const struct iovec *slices, int count)
{
	int error = refusal(fd);
	if (error)
		return finish(fd, fail(error), 0, 0);
	int saved = errno;
	ssize_t sent = RAW(SYS_pwritev2, fd, slices, count, -1L, -1L, WRITE_FLAG);
	if (sent == -1 && errno == EOPNOTSUPP) { /* the kernel or this file lacks the flag */
		errno = saved;
		sent = masked(SYS_writev, fd, slices, count);
	}
	/* Slices that Linux has read can be read here. */
	return finish(fd, sent, sent < 0 ? 0 : total(slices, count), 0);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	struct iovec slice = { (void *)buf, len };
	if (len > 0) /* an empty pwritev2 does not reach the file */
		return writev(fd, &slice, 1);
	int error = refusal(fd);
	return finish(fd, error ? fail(error) : masked(SYS_write, fd, buf, len), len, 0);
}

/* pwrite and pwritev are Linux's: pipes and sockets have no offset, and report ESPIPE. */

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	/* std is compiled for Linux. On every BSD it passes the flag, and on Apple's systems none. */
	int own = k->is_xnu ? k->send_flag : k->send_flag | MSG_NOSIGNAL;
	int has_send_flag = !k->ignores_send_flag && flags & own;
	int error = refusal(fd);
	if (error)
		return finish(fd, fail(error), 0, has_send_flag);
	flags = (flags & ~own) | MSG_NOSIGNAL; /* the number may mean something else to Linux */
	ssize_t sent = RAW(SYS_sendmsg, fd, message, flags);
	size_t len = sent < 0 ? 0 : total(message->msg_iov, message->msg_iovlen);
	return finish(fd, sent, len, has_send_flag);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	struct iovec slice = { (void *)buf, len };
	struct msghdr message = { .msg_name = (void *)to, .msg_namelen = to ? to_len : 0,
		.msg_iov = &slice, .msg_iovlen = 1 };
	return sendmsg(fd, &message, flags);
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return sendto(fd, buf, len, flags, NULL, 0);
}

/* FreeBSD's libc and OpenBSD's and NetBSD's kernels loop; each message raises. XNU has none. */
#ifdef __GLIBC__
typedef int mmsg_flags;
#else
typedef unsigned int mmsg_flags;
#endif
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, mmsg_flags flags)
{
	if (k->is_xnu)
		return fail(ENOSYS);
	for (unsigned int i = 0; i < count; i++) {
		ssize_t sent = sendmsg(fd, &messages[i].msg_hdr, (int)flags);
		if (sent < 0)
			return i ? (int)i : -1;
		messages[i].msg_len = (unsigned int)sent;
	}
	return (int)count;
}

/* ---- options and flags ----------------------------------------------------------------------- */

/* XNU sosetoptlock: no option can be set once both directions are shut down. */
static int is_refused(int fd)
{
	if (!k->is_xnu || !socket_type(fd) || !has_all(polled(fd), POLLHUP | POLLRDHUP))
		return 0;
	add_to(&counts.refused);
	return 1;
}

static int is_option(int fd, int level, int name)
{
	return k->option && level == SOL_SOCKET && name == k->option && socket_type(fd);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int answer = 0;
	if (is_refused(fd))
		return fail(EINVAL);
	if (!is_option(fd, level, name))
		answer = (int)RAW(SYS_setsockopt, fd, level, name, value, len);
	else if (len < sizeof(int))
		answer = fail(EINVAL);
	else
		set_state(fd, OPTION, *(const int *)value);
	copy_option_into_file(fd);
	return answer;
}

/* The kernels read so_flags or so_options. FreeBSD's answer is the bit. */
int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	if (!is_option(fd, level, name))
		return (int)RAW(SYS_getsockopt, fd, level, name, value, len);
	int on = k->is_xnu || k->file_decides ? 1 : k->option;
	int answer = state(fd) & OPTION ? on : 0;
	*len = *len < sizeof answer ? *len : sizeof answer;
	memcpy(value, &answer, *len);
	return 0;
}

/* F_SETNOSIGPIPE: XNU kern_descrip.c sys_fcntl_nocancel sets a socket's option, which may fail, and
 * FG_NOSIGPIPE of every other file. NetBSD sys_descrip.c sys_fcntl sets f_flag. So F_GETFL shows
 * it, and F_SETFL replaces it (fcntl.h FCNTLFLAGS). */
int fcntl(int fd, int command, ...)
{
	va_list rest;
	va_start(rest, command);
	long argument = va_arg(rest, long);
	va_end(rest);
	int bit = k->file_decides ? FILE_FLAG : OPTION;
	int is_set = k->set_flag && command == k->set_flag;
	if (is_set || (k->get_flag && command == k->get_flag)) {
		if (RAW(SYS_fcntl, fd, F_GETFD, 0) == -1)
			return -1;
		if (!is_set)
			return (state(fd) & bit) != 0;
		if (is_refused(fd))
			return fail(EINVAL);
		set_state(fd, bit, (int)argument != 0);
		return 0;
	}
	int answer = (int)RAW(SYS_fcntl, fd, command, argument);
	if (answer == -1 || !k->file_decides)
		return answer;
	if (command == F_SETFL)
		set_state(fd, FILE_FLAG, (argument & NETBSD_O_NOSIGPIPE) != 0);
	if (command == F_GETFL && state(fd) & FILE_FLAG)
		answer |= NETBSD_O_NOSIGPIPE;
	return answer;
}
#ifdef __GLIBC__
int fcntl64(int, int, ...) __attribute__((alias("fcntl")));
#endif

/* ---- new sockets ----------------------------------------------------------------------------- */

/* What a new socket inherits from its listener. XNU sonewconn: SOF_NOSIGPIPE. NetBSD do_sys_accept:
 * f_flag, and sonewconn: so_options. FreeBSD sonewconn: so_options. */
int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	int new = (int)RAW(SYS_accept4, fd, address, len, flags);
	if (new >= 0 && state(fd))
		set_state(new, state(fd), 1);
	return new;
}

int accept(int fd, struct sockaddr *address, socklen_t *len)
{
	return accept4(fd, address, len, 0);
}

/* XNU unp_attach knows only stream and datagram sockets. */
static int is_offered(int domain, int type)
{
	return !(k->is_xnu && domain == AF_UNIX && (type & 0xf) == SOCK_SEQPACKET);
}

/* With MODEL_STD_SETS_OPTION each socket has the option from its creation, except those of
 * socketpair. std sets it so where it exists. Here the sockets of other code have it too. */
int socket(int domain, int type, int protocol)
{
	if (!is_offered(domain, type))
		return fail(EPROTONOSUPPORT);
	int new = (int)RAW(SYS_socket, domain, type, protocol);
	if (new >= 0 && k->option && std_sets_option) {
		set_state(new, OPTION, 1);
		copy_option_into_file(new);
	}
	return new;
}

int socketpair(int domain, int type, int protocol, int pair[2])
{
	if (!is_offered(domain, type))
		return fail(EPROTONOSUPPORT);
	return (int)RAW(SYS_socketpair, domain, type, protocol, pair);
}

/* ---- signals --------------------------------------------------------------------------------- */

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	if (!k->has_sigtimedwait)
		stop("model of " NAME(KERNEL) ": it has no sigtimedwait\n");
	return (int)RAW(SYS_rt_sigtimedwait, set, info, timeout, sizeof(uint64_t));
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	if (!k->has_sigtimedwait)
		stop("model of " NAME(KERNEL) ": it has no sigwaitinfo\n");
	return sigtimedwait(set, info, NULL);
}

/* XNU sigpending: uu_siglist of the calling thread. A signal that is pending at the process is on
 * the first thread there, so another thread sees only its own. On Linux /proc shows these
 * separately. */
int sigpending(sigset_t *set)
{
	char status[4096] = "";
	sigemptyset(set);
	int answer = (int)RAW(SYS_rt_sigpending, set, sizeof(uint64_t));
	if (!k->is_xnu || RAW(SYS_gettid) == RAW(SYS_getpid))
		return answer;
	int file = (int)ASK(SYS_openat, AT_FDCWD, "/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	ASK(SYS_read, file, status, sizeof status - 1);
	ASK(SYS_close, file);
	const char *own = strstr(status, "SigPnd:\t");
	uint64_t bits = 0;
	for (int digit = 0; own && digit < 16; digit++) {
		int c = own[8 + digit];
		bits = bits << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (own)
		memcpy(set, &bits, sizeof bits);
	return answer;
}

/* ---- sendfile: its arguments differ from Linux's, so it has another name --------------------- */

/* Headers and trailers are left out. These kernels write them by writev, which raises. */

/* Sends without a signal. A length of 0 means the whole file. The count is also valid after an
 * error. */
static int send_body(int fd, int s, off_t off, off_t len, off_t *sent)
{
	char buf[16384];
	while (len == 0 || *sent < len) {
		size_t part = sizeof buf;
		if (len != 0 && len - *sent < (off_t)part)
			part = (size_t)(len - *sent);
		ssize_t got = RAW(SYS_pread64, fd, buf, part, off + *sent);
		if (got <= 0)
			return (int)got;
		ssize_t out = RAW(SYS_sendto, s, buf, got, MSG_NOSIGNAL, NULL, 0);
		if (out == -1)
			return errno == ECONNRESET ? fail(EPIPE) : -1;
		*sent += out;
	}
	return 0;
}

/* The kernels call getsock and fp_lookup first. */
static int is_closed(int fd) { return ASK(SYS_fcntl, fd, F_GETFD, 0) == -1; }

static int is_regular(int fd)
{
	struct stat found;
	return fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
}

/* Set by a test. The call then fails before it begins, as if a sandbox forbade it. */
int model_forbids_sendfile;

/* XNU uipc_syscalls.c sendfile: ENOTCONN once the socket is disconnected. */
int model_sendfile_apple(int fd, int s, off_t off, off_t *len, void *hdtr, int flags)
{
	if (model_forbids_sendfile)
		return fail(EPERM);
	off_t wanted = *len;
	*len = 0;
	if (is_closed(fd) || is_closed(s))
		return fail(EBADF);
	if (!is_regular(fd))
		return fail(ENOTSUP);
	if (socket_type(s) != SOCK_STREAM)
		return fail(socket_type(s) ? EINVAL : ENOTSOCK);
	if (polled(s) & POLLHUP || refusal(s) == ENOTCONN)
		return fail(ENOTCONN);
	if (hdtr || flags)
		return fail(EINVAL);
	return send_body(fd, s, off, wanted, len);
}

/* FreeBSD kern_sendfile.c vn_sendfile. */
int model_sendfile_freebsd(int fd, int s, off_t off, size_t len, void *hdtr, off_t *sbytes,
			   int flags)
{
	off_t unasked, *sent = sbytes ? sbytes : &unasked;
	(void)flags;
	*sent = 0;
	if (is_closed(fd) || is_closed(s))
		return fail(EBADF);
	if (!socket_type(s))
		return fail(ENOTSOCK);
	if (hdtr || !is_regular(fd) || socket_type(s) != SOCK_STREAM)
		return fail(EINVAL);
	int error = refusal(s);
	return error ? fail(error) : send_body(fd, s, off, (off_t)len, sent);
}

/* ---- calls that only Linux has --------------------------------------------------------------- */

ssize_t sendfile(int s, int fd, off_t *off, size_t len) { return fail(ENOSYS); }
ssize_t splice(int a, off_t *b, int c, off_t *d, size_t e, unsigned f) { return fail(ENOSYS); }
ssize_t tee(int a, int b, size_t c, unsigned d) { return fail(ENOSYS); }
ssize_t vmsplice(int a, const struct iovec *b, size_t c, unsigned d) { return fail(ENOSYS); }
ssize_t copy_file_range(int a, off_t *b, int c, off_t *d, size_t e, unsigned f)
{
	return fail(ENOSYS);
}

/* The write flag's call is made by its number. Other kernels lack the flag, so no code may make
 * this call. */
long syscall(long number, ...)
{
	long a[6];
	va_list rest;
	va_start(rest, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(rest, long);
	va_end(rest);
	if (number == SYS_pwritev2)
		stop("model of " NAME(KERNEL) ": it has no pwritev2\n");
	return RAW(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t pwritev2(int fd, const struct iovec *slices, int count, off_t off, int flags)
{
	stop("model of " NAME(KERNEL) ": it has no pwritev2\n");
}
#ifdef __GLIBC__
ssize_t pwritev64v2(int, const struct iovec *, int, off_t, int) __attribute__((alias("pwritev2")));
ssize_t sendfile64(int, int, off_t *, size_t) __attribute__((alias("sendfile")));
#endif
