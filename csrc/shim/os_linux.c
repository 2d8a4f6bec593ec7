/* Linux: all ids become the caller's at once, and one capability is kept until the port is bound.
 * capabilities(7), prctl(2), seccomp(2). */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "locald-shim supports x86_64, aarch64 and riscv64: name your architecture here, and its system calls below"
#endif

const char os_policy_folder[] = "/etc/locald";
const int os_nofollow = O_NOFOLLOW;
const int os_listen_level = SOL_SOCKET, os_listen_option = SO_ACCEPTCONN;

enum { BIND_ONLY = 1 << CAP_NET_BIND_SERVICE, SETPCAP = 1 << CAP_SETPCAP };

/* Two words of 32 capabilities each, permitted, effective and inheritable. */
typedef struct __user_cap_data_struct caps[2];

static int caps_get(caps out)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

    return (int)syscall(SYS_capget, &head, out);
}

/* Sets effective and permitted to keep, all else to nothing, and proves it. */
static int caps_keep(uint32_t keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const caps wanted = {{.effective = keep, .permitted = keep}};
    caps now = {{0}};

    if (syscall(SYS_capset, &head, wanted) != 0 || caps_get(now) != 0)
        return -1;
    return memcmp(now, wanted, sizeof now) == 0 ? 0 : -1;
}

/* Not without CAP_SETPCAP, which a file capability does not bring; no_new_privs, below, says the same once more.  The
 * first number that the kernel refuses is the first that it does not know. */
static void drop_bounding_set(void)
{
    for (unsigned long cap = 0; cap < 64 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
        continue;
}

/* An unchecked drop once bound as root, when setresuid was made to fail: so ask, and then try to get it back. */
static int is_dropped(uid_t uid, gid_t gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;

    if (getresuid(&r, &e, &s) != 0 || r != uid || e != uid || s != uid)
        return 0;
    if (getresgid(&rg, &eg, &sg) != 0 || rg != gid || eg != gid || sg != gid)
        return 0;
    if (uid != 0 && (setuid(0) == 0 || geteuid() != uid))
        return 0;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

int os_drop(void)
{
    const uid_t uid = getuid(), euid = geteuid();
    const gid_t gid = getgid();
    caps had;

    if (caps_get(had) != 0)
        return -1;
    /* Real root needs no helper and gets none; a file capability must be the only one. */
    const int power = uid != 0 && (had[0].permitted & BIND_ONLY);
    if (power && euid == uid && (had[0].permitted != BIND_ONLY || had[1].permitted != 0))
        return -1;
    if (had[0].effective & SETPCAP)
        drop_bounding_set();
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return -1;
    if (caps_keep(power ? BIND_ONLY : 0) != 0)
        return -1;
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !is_dropped(uid, gid))
        return -1;
    return power;
}

int os_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return bind(fd, address, size);
}

int os_renounce(void)
{
    return caps_keep(0);
}

int os_confine(void)
{
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    static struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_sendmsg),
        ALLOW(SYS_read),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_rt_sigreturn),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {.len = sizeof rules / sizeof *rules, .filter = rules};

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

int os_peer(int fd, uid_t *uid)
{
    struct ucred peer = {.pid = 0};
    int listens = -1;
    socklen_t size = sizeof peer, length = sizeof listens;

    /* Of a listener: who called listen(2).  Of a socket that is not connected: pid 0 and uid (uid_t)-1. */
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid == 0)
        return -1;
    *uid = peer.uid;
    return 0;
}
