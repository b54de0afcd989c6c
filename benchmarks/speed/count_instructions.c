/* qemu plugin: print the number of guest instructions executed at each call of getsid(2), which serves as a marker.
 *
 * The declarations are those of plugin interface version 1 (qemu 4.2 to 8.0; Debian 12 has 7.2) that are used here.
 * Debian ships programs that load plugins, but not the header.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))
#define GETSID 156 /* on arm64 */
#define ADD_U64 0

typedef uint64_t id_t_;
struct block;
void qemu_plugin_register_vcpu_tb_trans_cb(id_t_, void (*)(id_t_, struct block *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct block *);
void qemu_plugin_register_vcpu_syscall_cb(id_t_, void (*)(id_t_, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                                                          uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_outs(const char *);

EXPORT int qemu_plugin_version = 1;
static uint64_t executed;

static void on_translation(id_t_ id, struct block *block)
{
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(id_t_ id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                   uint64_t f, uint64_t g, uint64_t h)
{
    char line[32];
    if (number == GETSID) {
        snprintf(line, sizeof line, "%" PRIu64 "\n", executed);
        qemu_plugin_outs(line);
    }
}

EXPORT int qemu_plugin_install(id_t_ id, const void *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
