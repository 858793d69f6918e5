/* A stand-in for libnvidia-ml.so.1: the machine is described by environment variables (see __init__.py).
   With -DOLD it lacks what came after R470, with -DWITHOUT_INIT even the first call. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long u64;
typedef struct { int there; char name[96]; int major, minor; u64 total, free, reserved; int mode; } Gpu;
typedef struct { u64 total, free, used; } Memory;
typedef struct { unsigned version; u64 total, reserved, free, used; } Memory2;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } Pci;
typedef struct { unsigned pid; u64 used; unsigned gi, ci; } Process;

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, TOO_SMALL = 7 };
static Gpu gpus[16];
static int count;

static const char *text(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}
static int number(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}
static int index_of(void *handle) { return (int)((Gpu *)handle - gpus); }
/* The error code that STUB_GPU_ERROR="INDEX:CODE" or "FIRST-LAST:CODE:GETTER" gives to the getters of some GPUs. */
static int trouble(void *handle, const char *what) {
    int first, last, code;
    char only[32] = "";
    const char *value = text("STUB_GPU_ERROR", "");
    int fields = sscanf(value, "%d-%d:%d:%31s", &first, &last, &code, only) - 1;
    if (fields < 2) fields = sscanf(value, "%d:%d:%31s", &first, &code, only), last = first;
    if (fields < 2 || index_of(handle) < first || index_of(handle) > last) return OK;
    return fields == 2 || !strcmp(only, what) ? code : OK;
}
/* STUB_SLOW_MS: how long each GPU takes to start, as without persistence mode. STUB_HANG_GPU: the one that never does. */
static void start(int index) {
    usleep(1000 * number("STUB_SLOW_MS", 0));
    while (index == number("STUB_HANG_GPU", -1)) sleep(1000);
}
static int is_unsupported(const char *what) { return strstr(text("STUB_UNSUPPORTED", ""), what) != NULL; }

static int named(const char *variable, const char *what) {
    const char *value = text(variable, "");
    return !strcmp(value, what) || (!strcmp(value, "1") && !strcmp(what, "init"));
}
/* STUB_HANG and STUB_CRASH name the call that never returns or dies; "1" is nvmlInit. */
static void illness(const char *what) {
    if (named("STUB_HANG", what)) {
        if (getenv("STUB_DEAF")) signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGHUP, SIG_IGN);
        for (;;) sleep(1000);
    }
    if (named("STUB_CRASH", what)) *(volatile int *)0 = 1;
}
#ifndef WITHOUT_INIT
int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    for (int lines = number("STUB_PRINT_LINES", 0); lines > 0; lines--) puts("NVRM: a line that nobody asked for, again and again");
    fflush(stdout);
    illness("init");
    char *line = strdup(text("STUB_GPUS", "")), *rest = line, *part;
    while ((part = strsep(&rest, ";")) && *part && count < 16) {
        Gpu *gpu = &gpus[count];
        u64 total = 0, free = 0, reserved = 0;
        int fields = sscanf(part, "%95[^|]|%d.%d|%llu|%llu|%llu|%d", gpu->name, &gpu->major, &gpu->minor, &total, &free,
                            &reserved, &gpu->mode);
        if (fields < 5) abort();
        gpu->total = total << 20, gpu->free = free << 20, gpu->reserved = reserved << 20;
        gpu->there = 1, count++;
    }
    return number("STUB_INIT", OK);
}
#endif
int nvmlShutdown(void) { return illness("shutdown"), OK; }
const char *nvmlErrorString(int code) {
    switch (code) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    case 999: return "Unknown Error";
    }
    return "Some Error";
}
int nvmlSystemGetDriverVersion(char *out, unsigned size) { return snprintf(out, size, "%s", text("STUB_DRIVER", "570.124.06")), OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    if (is_unsupported("cuda_version")) return UNSUPPORTED;
    return *out = number("STUB_CUDA", 12080), OK;
}
int nvmlDeviceGetCount_v2(unsigned *out) { return *out = count, number("STUB_COUNT_ERROR", OK); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) {
    if (index >= (unsigned)count) return INVALID;
    *out = &gpus[index];
    start(index);
    int code = trouble(*out, "handle");
    return code ? code : number("STUB_HANDLE_ERROR", OK);
}
#define GUARD(what) do { illness(what); int code = trouble(handle, what); if (code) return code; if (is_unsupported(what)) return UNSUPPORTED; } while (0)
int nvmlDeviceGetName(void *handle, char *out, unsigned size) {
    GUARD("name");
    return snprintf(out, size, "%s", ((Gpu *)handle)->name), OK;
}
int nvmlDeviceGetUUID(void *handle, char *out, unsigned size) {
    GUARD("uuid");
    return snprintf(out, size, "GPU-0000000%d-stub", index_of(handle)), OK;
}
int nvmlDeviceGetPciInfo_v3(void *handle, Pci *out) {
    GUARD("pci");
    memset(out, 0, sizeof *out);
    return snprintf(out->bus_id, sizeof out->bus_id, "00000000:%02X:00.0", index_of(handle) + 1), OK;
}
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    GUARD("capability");
    return *major = ((Gpu *)handle)->major, *minor = ((Gpu *)handle)->minor, OK;
}
int nvmlDeviceGetComputeMode(void *handle, int *out) {
    GUARD("compute_mode");
    return *out = ((Gpu *)handle)->mode, OK;
}
int nvmlDeviceGetMemoryInfo(void *handle, Memory *out) {
    GUARD("memory");
    Gpu *gpu = handle;
    return out->total = gpu->total, out->free = gpu->free, out->used = gpu->total - gpu->free, OK;
}
#ifndef OLD
int nvmlDeviceGetMemoryInfo_v2(void *handle, Memory2 *out) {
    GUARD("memory");
    if (is_unsupported("v2")) return UNSUPPORTED;
    if (out->version != 0x02000028) return 25;
    Gpu *gpu = handle;
    out->total = gpu->total, out->free = gpu->free, out->reserved = gpu->reserved;
    return out->used = gpu->total - gpu->free - gpu->reserved, OK;
}
#endif
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *pending) {
    GUARD("mig");
    return *now = *pending = number("STUB_MIG", 0), OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *out) { (void)handle; return *out = 7, OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **out) {
    (void)handle;
    if (index || !number("STUB_MIG", 0)) return 6;
    static Gpu slice;
    slice.total = 10240ULL << 20, slice.free = 10000ULL << 20;
    return *out = &slice, OK;
}
/* "GPU:PID:MIB,..."; MIB "N/A" is what WSL and containers get. */
static int processes(void *handle, const char *variable, unsigned *size, Process *out) {
    GUARD("processes");
    char *line = strdup(text(variable, "")), *rest = line, *part, used[16];
    unsigned found = 0, pid;
    int gpu, fits = 1;
    while ((part = strsep(&rest, ","))) {
        if (sscanf(part, "%d:%u:%15s", &gpu, &pid, used) != 3 || gpu != index_of(handle)) continue;
        if (!out || found >= *size) fits = 0;
        else out[found] = (Process){pid, strcmp(used, "N/A") ? strtoull(used, NULL, 10) << 20 : ~0ULL, ~0U, ~0U};
        found++;
    }
    free(line);
    *size = found;
    return fits ? OK : TOO_SMALL;
}
#ifndef OLD
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *size, Process *out) { return processes(handle, "STUB_COMPUTE", size, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *size, Process *out) { return processes(handle, "STUB_GRAPHICS", size, out); }
#endif
