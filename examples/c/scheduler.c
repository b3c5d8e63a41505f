/*
 * The core of a scheduler such as Slurm's for one machine: 10,000 jobs come, wait until there is room, are placed on the best
 * GPUs that are free, run for a while, and leave. Half way it saves its state, ends, and goes on from what was saved.
 *
 *     cc examples/c/scheduler.c $(pkg-config --cflags --libs nvtopo) -Wl,-rpath,"$HOME/.local/lib" -o scheduler
 *     ./scheduler                              10,000 jobs on a DGX H100
 *     ./scheduler 500 preset:dgx-1-v100        500 jobs on another machine, or on "live"
 */

#include <nvtopo.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY(call)                                                                              \
    do {                                                                                       \
        nvtopo_status status_ = (call);                                                        \
        if (status_ != NVTOPO_STATUS_OK) return status_;                                       \
    } while (0)

#define MOST 128 /* GPUs, and so jobs at once. */

struct running {
    uint64_t job;
    unsigned long ends;
};

struct state {
    nvtopo_topology *topology;
    nvtopo_allocator *allocator;
    nvtopo_request *request;
    struct running running[MOST];
    size_t count;
    unsigned long now, placed, waits, optimal;
};

/* The same jobs in every run. */
static unsigned long draw(void)
{
    static unsigned long long seed = 1;
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned long)(seed >> 33);
}

/* Lets time pass until the next job ends, and releases it. */
static nvtopo_status wait_for_one(struct state *state)
{
    size_t first = 0, i;
    for (i = 1; i < state->count; i++)
        if (state->running[i].ends < state->running[first].ends) first = i;
    state->now = state->running[first].ends;
    TRY(nvtopo_allocator_release(state->allocator, state->running[first].job));
    state->running[first] = state->running[--state->count];
    return NVTOPO_STATUS_OK;
}

static nvtopo_status run_job(struct state *state, size_t gpus)
{
    nvtopo_placement *placement = NULL;
    bool optimal = false;
    uint64_t job = 0;
    nvtopo_status status;

    TRY(nvtopo_request_reset(state->request, gpus));
    TRY(nvtopo_request_mix(state->request, "1:.5,2:.2,4:.2,8:.1"));
    while ((status = nvtopo_allocator_place(state->allocator, state->request, &job)) == NVTOPO_STATUS_UNSATISFIABLE) {
        if (state->count == 0) return status; /* Not even on the empty machine. */
        state->waits++;
        TRY(wait_for_one(state));
    }
    TRY(status);
    TRY(nvtopo_allocator_placement(state->allocator, job, &placement));
    status = nvtopo_placement_is_optimal(placement, &optimal);
    nvtopo_placement_free(placement);
    TRY(status);
    state->optimal += optimal;
    state->running[state->count].job = job;
    state->running[state->count++].ends = state->now + 1 + draw() % 100;
    state->now += draw() % 10;
    state->placed++;
    return NVTOPO_STATUS_OK;
}

/* As if the scheduler had ended and started again: what is in its own tables is its own affair. */
static nvtopo_status start_again(struct state *state)
{
    nvtopo_allocator *again = NULL;
    const char *saved = NULL;
    TRY(nvtopo_allocator_save(state->allocator, &saved));
    TRY(nvtopo_allocator_restore(state->topology, saved, strlen(saved), &again));
    nvtopo_allocator_free(state->allocator);
    state->allocator = again;
    return NVTOPO_STATUS_OK;
}

static nvtopo_status schedule(struct state *state, unsigned long jobs, const char *source)
{
    static const size_t sizes[] = {1, 1, 1, 1, 1, 2, 2, 4, 4, 8};
    nvtopo_gpu_set free_gpus = {0, 0};
    size_t gpus = 0;
    unsigned long i;

    TRY(nvtopo_topology_open(source, &state->topology));
    TRY(nvtopo_topology_gpu_count(state->topology, &gpus));
    TRY(nvtopo_allocator_new(state->topology, &state->allocator));
    TRY(nvtopo_request_new(1, &state->request));
    for (i = 0; i < jobs; i++) {
        size_t size = sizes[draw() % (sizeof sizes / sizeof sizes[0])];
        if (i == jobs / 2) TRY(start_again(state));
        TRY(run_job(state, size < gpus ? size : gpus));
    }
    while (state->count > 0) TRY(wait_for_one(state));
    TRY(nvtopo_allocator_available(state->allocator, &free_gpus));
    printf("%lu jobs placed, %lu of them proven best, after %lu waits; all GPUs are free again: %016llx\n", state->placed,
           state->optimal, state->waits, (unsigned long long)free_gpus.low);
    return NVTOPO_STATUS_OK;
}

int main(int argc, char **argv)
{
    static struct state state;
    unsigned long jobs = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    nvtopo_status status = schedule(&state, jobs, argc > 2 ? argv[2] : "preset:dgx-h100");
    if (status != NVTOPO_STATUS_OK)
        fprintf(stderr, "%s: %s: %s\n", argv[0], nvtopo_status_name(status), nvtopo_last_error_message());
    nvtopo_request_free(state.request);
    nvtopo_allocator_free(state.allocator);
    nvtopo_topology_free(state.topology);
    return status == NVTOPO_STATUS_OK ? 0 : 1;
}
