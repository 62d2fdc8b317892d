/* A library that is loaded before libc and lies about the flags against SIGPIPE.
 *
 * ONLY          the calls that lie, a sum of the numbers below; all sends if undefined
 * ON            what they lie on: TCP, UNIX or PIPE (which is all that is no socket)
 * WITH_ADDRESS  lie only where the call has an address
 * REJECTS       lie by this error, and count it; if undefined, strip the flag in silence
 * ADDS          no liar, but the opposite: the flag is always there, so that no send raises
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { SEND = 1, SENDTO = 2, SENDMSG = 4, SENDMMSG = 8, PWRITEV2 = 16 };
enum { TCP = 1, UNIX, PIPE };

#ifndef ONLY
#define ONLY (SEND | SENDTO | SENDMSG | SENDMMSG)
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

static int rejected;

/* For the tests: how many calls have been rejected so far. */
int liar_rejected(void) { return __atomic_load_n(&rejected, __ATOMIC_RELAXED); }

static int lies_on(int fd, const void *address)
{
#ifdef WITH_ADDRESS
	if (!address)
		return 0;
#else
	(void)address;
#endif
#ifdef ON
	int kind = PIPE, domain, protocol;
	socklen_t len = sizeof domain;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0)
		kind = domain == AF_UNIX ? UNIX : protocol == IPPROTO_TCP ? TCP : 0;
	return kind == ON;
#else
	(void)fd;
	return 1;
#endif
}

/* Whether the call fails; if not, it goes on with what is left of the flags. */
static int fails(int call, int fd, const void *address, int *flags, int flag)
{
#ifdef ADDS
	*flags |= flag;
#endif
	if (!(ONLY & call) || !(*flags & flag) || !lies_on(fd, address))
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
	return fails(SEND, fd, NULL, &flags, MSG_NOSIGNAL) ? -1 : NEXT(send)(fd, buf, len, flags);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	return fails(SENDTO, fd, to, &flags, MSG_NOSIGNAL) ? -1 : NEXT(sendto)(fd, buf, len, flags, to, to_len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return fails(SENDMSG, fd, message->msg_name, &flags, MSG_NOSIGNAL) ? -1 : NEXT(sendmsg)(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	return fails(SENDMMSG, fd, NULL, &flags, MSG_NOSIGNAL) ? -1 : NEXT(sendmmsg)(fd, messages, count, flags);
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
		if (fails(PWRITEV2, (int)a[0], NULL, &flags, RWF_NOSIGNAL))
			return -1;
		a[5] = flags;
	}
	return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
