/* A stand-in for libcuda.so.1: the machine is described by environment variables (see __init__.py). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}
int cuDriverGetVersion(int *out) { return *out = number("STUB_CUDA", 12080), 0; }
int cuInit(unsigned flags) {
    (void)flags;
    if (getenv("STUB_CUDA_HANG")) sleep(1000);
    if (getenv("STUB_CUDA_CRASH")) *(volatile int *)0 = 1;
    return number("STUB_CUINIT", 0);
}
int cuGetErrorName(int code, const char **out) {
    static const struct { int code; const char *name; } names[] = {
        {34, "CUDA_ERROR_STUB_LIBRARY"},       {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
        {100, "CUDA_ERROR_NO_DEVICE"},         {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
        {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}, {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"},
        {999, "CUDA_ERROR_UNKNOWN"},
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) return *out = names[i].name, 0;
    return *out = NULL, 1;
}
int cuGetErrorString(int code, const char **out) { return cuGetErrorName(code, out); }
int cuDeviceGetCount(int *out) { return *out = number("STUB_CUDA_GPUS", 1), 0; }
int cuDeviceGet(int *out, int index) { return *out = index, 0; }
int cuDeviceGetName(char *out, int size, int device) { return snprintf(out, size, "Stub GPU %d", device), 0; }
int cuDeviceTotalMem_v2(size_t *out, int device) { (void)device; return *out = (size_t)number("STUB_CUDA_MIB", 24564) << 20, 0; }
int cuDeviceGetAttribute(int *out, int attribute, int device) {
    (void)device;
    int capability = number("STUB_CAPABILITY", 89);
    if (attribute == 75) return *out = capability / 10, 0;
    if (attribute == 76) return *out = capability % 10, 0;
    return 1;
}
int cuDeviceComputeCapability(int *major, int *minor, int device) {
    return cuDeviceGetAttribute(major, 75, device) | cuDeviceGetAttribute(minor, 76, device);
}
