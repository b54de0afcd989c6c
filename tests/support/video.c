/* A simulated V4L2 camera for OpenCV, loaded with LD_PRELOAD: it answers the calls for one device path.
 *
 * Environment variables:
 * VIDEO      path of the camera
 * VIDEO_RAW  file of its frames, YUYV, WIDTH x HEIGHT, played in a loop
 * VIDEO_GONE the camera is unplugged while this file exists
 * VIDEO_FPS  frame rate
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 480, SIZE = WIDTH * HEIGHT * 2, BUFFERS = 8 };

static int camera = -1, queued[BUFFERS], head, count;
static unsigned char *memory; /* buffers of the camera, which OpenCV maps, too */
static long shown;            /* number of frames so far */
static struct timespec due;   /* time of the next frame */

static int gone(void) { return access(getenv("VIDEO_GONE"), F_OK) == 0; }

static int open_camera(void) {
    if (gone()) return errno = ENOENT, -1;
    camera = memfd_create("video", MFD_CLOEXEC);
    if (camera < 0 || ftruncate(camera, (off_t)BUFFERS * SIZE)) abort();
    memory = mmap(NULL, (size_t)BUFFERS * SIZE, PROT_WRITE, MAP_SHARED, camera, 0);
    head = count = 0;
    clock_gettime(CLOCK_MONOTONIC, &due);
    return camera;
}

#define OPEN(name)                                                                       \
    int name(const char *path, int flags, ...) {                                         \
        static int (*real)(const char *, int, ...);                                      \
        va_list more;                                                                    \
        va_start(more, flags);                                                           \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;        \
        va_end(more);                                                                    \
        if (getenv("VIDEO") && !strcmp(path, getenv("VIDEO"))) return open_camera();     \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);      \
        return real(path, flags, mode);                                                  \
    }
OPEN(open)
OPEN(open64)

int close(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (file == camera && file >= 0) {
        munmap(memory, (size_t)BUFFERS * SIZE);
        camera = -1;
    }
    return real(file);
}

/* Wait for the next frame, and write it to the buffer that was queued first. */
static int dequeue(struct v4l2_buffer *buffer) {
    if (!count) return errno = EAGAIN, -1;
    due.tv_nsec += 1000000000L / atol(getenv("VIDEO_FPS"));
    if (due.tv_nsec >= 1000000000L) due.tv_sec++, due.tv_nsec -= 1000000000L;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    if (gone()) return errno = ENODEV, -1;
    int raw = openat(AT_FDCWD, getenv("VIDEO_RAW"), O_RDONLY);
    struct stat of;
    if (raw < 0 || fstat(raw, &of)) abort();
    int index = queued[head++ % BUFFERS];
    count--;
    if (pread(raw, memory + (size_t)index * SIZE, SIZE, shown++ % (of.st_size / SIZE) * SIZE) != SIZE) abort();
    close(raw);
    buffer->index = index;
    buffer->bytesused = SIZE;
    buffer->length = SIZE;
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_DONE;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    switch ((unsigned)request) {
    case (unsigned)VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->driver, "test");
        strcpy((char *)capability->card, "Test Camera");
        capability->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    }
    case (unsigned)VIDIOC_ENUM_FMT: {
        static const unsigned formats[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_H264};
        struct v4l2_fmtdesc *form = argument;
        if (form->index > 1) return errno = EINVAL, -1;
        form->pixelformat = formats[form->index];
        return 0;
    }
    case (unsigned)VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = argument;
        if (size->index > 1) return errno = EINVAL, -1;
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = size->index ? 1280 : WIDTH;
        size->discrete.height = size->index ? 720 : HEIGHT;
        return 0;
    }
    case (unsigned)VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *pace = argument;
        if (pace->index) return errno = EINVAL, -1;
        pace->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        pace->discrete.numerator = 1;
        pace->discrete.denominator = atoi(getenv("VIDEO_FPS"));
        return 0;
    }
    case (unsigned)VIDIOC_G_INPUT:
        return *(int *)argument = 0;
    case (unsigned)VIDIOC_S_INPUT:
        return 0;
    case (unsigned)VIDIOC_ENUMINPUT:
        return ((struct v4l2_input *)argument)->index ? (errno = EINVAL, -1) : 0;
    case (unsigned)VIDIOC_G_FMT:
    case (unsigned)VIDIOC_S_FMT:
    case (unsigned)VIDIOC_TRY_FMT: { /* a driver answers every request with the format that it has */
        struct v4l2_pix_format *form = &((struct v4l2_format *)argument)->fmt.pix;
        form->width = WIDTH;
        form->height = HEIGHT;
        form->pixelformat = V4L2_PIX_FMT_YUYV;
        form->field = V4L2_FIELD_NONE;
        form->bytesperline = WIDTH * 2;
        form->sizeimage = SIZE;
        return 0;
    }
    case (unsigned)VIDIOC_G_PARM:
    case (unsigned)VIDIOC_S_PARM: {
        struct v4l2_captureparm *pace = &((struct v4l2_streamparm *)argument)->parm.capture;
        pace->capability = V4L2_CAP_TIMEPERFRAME;
        pace->timeperframe.numerator = 1;
        pace->timeperframe.denominator = atoi(getenv("VIDEO_FPS"));
        return 0;
    }
    case (unsigned)VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *buffers = argument;
        if (buffers->count > BUFFERS) buffers->count = BUFFERS;
        head = count = 0;
        return 0;
    }
    case (unsigned)VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = SIZE;
        buffer->m.offset = buffer->index * SIZE;
        return 0;
    }
    case (unsigned)VIDIOC_QBUF:
        queued[(head + count++) % BUFFERS] = ((struct v4l2_buffer *)argument)->index;
        return 0;
    case (unsigned)VIDIOC_DQBUF:
        return dequeue(argument);
    case (unsigned)VIDIOC_STREAMON:
    case (unsigned)VIDIOC_STREAMOFF:
        return 0;
    }
    return errno = EINVAL, -1; /* a control that this camera lacks */
}

int ioctl(int file, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (file == camera && file >= 0) return gone() ? (errno = ENODEV, -1) : answer(request, argument);
    if (!real) real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(file, request, argument);
}
