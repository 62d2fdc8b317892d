/* A library that is loaded before libc and lies about the flags against SIGPIPE.
 *
 * ONLY       the calls that lie, a sum of the numbers below; all of them if undefined
 * REJECTS    lie by this error, and count it; if undefined, strip the flag in silence
 * ONLY_TCP   lie on TCP only
 * ADDS       no liar, but the opposite: the flag is always there, so that no call raises
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { SEND = 1, SENDTO = 2, SENDMSG = 4, SENDMMSG = 8, PWRITEV2 = 16 };

#ifndef ONLY
#define ONLY (SEND | SENDTO | SENDMSG | SENDMMSG)
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

static int rejected;

/* For the tests: how many calls have been rejected so far. */
int liar_rejected(void) { return __atomic_load_n(&rejected, __ATOMIC_RELAXED); }

static int lies_on(int fd)
{
#ifdef ONLY_TCP
	int protocol = 0;
	socklen_t len = sizeof protocol;
	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
#else
	(void)fd;
	return 1;
#endif
}

/* Whether the call fails; if not, it goes on with what is left of the flags. */
static int fails(int call, int fd, int *flags, int flag)
{
#ifdef ADDS
	*flags |= flag;
#endif
	if (!(ONLY & call) || !(*flags & flag) || !lies_on(fd))
		return 0;
#ifdef REJECTS
	__atomic_add_fetch(&rejected, 1, __ATOMIC_RELAXED);
	errno = REJECTS;
	return 1;
#elif defined ADDS
	return 0;
#else
	*flags &= ~flag;
	return 0;
#endif
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return fails(SEND, fd, &flags, MSG_NOSIGNAL) ? -1 : NEXT(send)(fd, buf, len, flags);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	return fails(SENDTO, fd, &flags, MSG_NOSIGNAL) ? -1 : NEXT(sendto)(fd, buf, len, flags, to, to_len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return fails(SENDMSG, fd, &flags, MSG_NOSIGNAL) ? -1 : NEXT(sendmsg)(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	return fails(SENDMMSG, fd, &flags, MSG_NOSIGNAL) ? -1 : NEXT(sendmmsg)(fd, messages, count, flags);
}

/* pwritev2 is called by its number. */
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
		if (fails(PWRITEV2, (int)a[0], &flags, RWF_NOSIGNAL))
			return -1;
		a[5] = flags;
	}
	return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
