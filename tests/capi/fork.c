/* A process with threads that forks: no child waits for a thread that it does not have. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3
#define FORKS 500
#define PATIENCE 60 /* Seconds after which a child counts as one that hangs: far more than an answer takes. */

static nvtopo_topology *shared[FORKS];
static volatile int ended = 0;
static volatile int at = 0;

static int ask(const nvtopo_topology *topology, size_t gpus)
{
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    nvtopo_status status = nvtopo_request_new(gpus, &request);
    if (status == NVTOPO_STATUS_OK)
        status = nvtopo_topology_place(topology, request, &placement);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    return status == NVTOPO_STATUS_OK ? 0 : 1;
}

/* Asks what nobody asked before, so that values are always being computed somewhere. */
static void *keep_asking(void *unused)
{
    size_t gpus = 1;
    (void)unused;
    while (!ended) {
        ask(shared[at], gpus);
        gpus = gpus % 8 + 1;
    }
    return NULL;
}

static void a_child_of_a_process_with_threads_never_hangs(void)
{
    pthread_t threads[THREADS];
    int i, status = 0, failed = 0;
    for (i = 0; i < FORKS; i++)
        CHECK_OK(nvtopo_topology_preset("dgx-1-v100", &shared[i]));
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, keep_asking, NULL) == 0);
    for (i = 0; i < FORKS; i++) {
        pid_t child;
        at = i;
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(PATIENCE);
            _exit(ask(shared[i], 4));
        }
        CHECK(waitpid(child, &status, 0) == child);
        failed += status != 0;
    }
    ended = 1;
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(failed == 0);
    for (i = 0; i < FORKS; i++)
        nvtopo_topology_free(shared[i]);
}

int main(void)
{
    a_child_of_a_process_with_threads_never_hangs();
    return 0;
}
