/* A library that is loaded before libc, and ignores or rejects the flags against SIGPIPE.
 *
 * ONLY     the calls that it affects, a sum of the numbers below; all sends if undefined.
 * WHERE    the condition, an expression of `kind`, `address`, `len`, `slices`,
 *          `nonblocking(fd)` and `accepted[fd]`; always if undefined.
 * REJECTS  fail with this error, and count it; if undefined, strip the flag silently.
 * ACCEPTS  accept every flag of pwritev2, and strip those that Linux does not know, as gVisor does.
 * ADDS     the opposite: the flag is always added, so that no send raises.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { SEND = 1, SENDTO = 2, SENDMSG = 4, SENDMMSG = 8, PWRITEV2 = 16 };
enum { OTHER, TCP, UNIX, PIPE }; /* PIPE is every kind that is not a socket */

#ifndef ONLY
#define ONLY (SEND | SENDTO | SENDMSG | SENDMMSG)
#endif
#ifndef WHERE
#define WHERE 1
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int rejected;

/* For the tests: the count of rejected calls. */
int preload_rejected(void) { return __atomic_load_n(&rejected, __ATOMIC_RELAXED); }

static char accepted[1 << 16];

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	int new = NEXT(accept4)(fd, address, len, flags);
	if (new >= 0)
		accepted[new & 0xffff] = 1;
	return new;
}

int socket(int domain, int type, int protocol)
{
	int new = NEXT(socket)(domain, type, protocol);
	if (new >= 0)
		accepted[new & 0xffff] = 0;
	return new;
}

static int nonblocking(int fd) { return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

static int kind_of(int fd)
{
	int domain, protocol;
	socklen_t len = sizeof domain;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) != 0)
		return PIPE;
	return domain == AF_UNIX ? UNIX : protocol == IPPROTO_TCP ? TCP : OTHER;
}

/* Evaluated only if WHERE uses it: a scene may forbid every call but its own. */
#define kind kind_of(fd)

/* Whether the call fails. Otherwise it continues with the remaining flags. */
static int fails(int call, int fd, const void *address, size_t len, size_t slices, int *flags,
		 int flag)
{
	(void)fd, (void)address, (void)len, (void)slices, (void)nonblocking, (void)kind_of;
#ifdef ADDS
	*flags |= flag;
	return 0;
#endif
	if (!(ONLY & call) || !(*flags & flag) || !(WHERE))
		return 0;
#ifdef REJECTS
	__atomic_add_fetch(&rejected, 1, __ATOMIC_RELAXED);
	errno = REJECTS;
	return 1;
#else
	*flags &= ~flag;
	return 0;
#endif
}

static size_t total(const struct iovec *slices, size_t count)
{
	size_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += slices[i].iov_len;
	return sum;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	if (fails(SEND, fd, NULL, len, 1, &flags, MSG_NOSIGNAL))
		return -1;
	return NEXT(send)(fd, buf, len, flags);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	if (fails(SENDTO, fd, to, len, 1, &flags, MSG_NOSIGNAL))
		return -1;
	return NEXT(sendto)(fd, buf, len, flags, to, to_len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	size_t len = total(message->msg_iov, message->msg_iovlen);
	if (fails(SENDMSG, fd, message->msg_name, len, message->msg_iovlen, &flags, MSG_NOSIGNAL))
		return -1;
	return NEXT(sendmsg)(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	if (fails(SENDMMSG, fd, NULL, 0, 0, &flags, MSG_NOSIGNAL))
		return -1;
	return NEXT(sendmmsg)(fd, messages, count, flags);
}

/* epipe calls pwritev2 by its number. */
long syscall(long number, ...)
{
	long a[6];
	va_list rest;
	va_start(rest, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(rest, long);
	va_end(rest);
	if (number == SYS_pwritev2) {
		int flags = (int)a[5];
		size_t len = total((const struct iovec *)a[1], (size_t)a[2]);
		if (fails(PWRITEV2, (int)a[0], NULL, len, (size_t)a[2], &flags, RWF_NOSIGNAL))
			return -1;
#ifdef ACCEPTS
		flags &= 0xff; /* the flags of Linux before 6.18: RWF_HIPRI to RWF_DONTCACHE */
#endif
		a[5] = flags;
	}
	return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
