/* Undoing a binding, binding to given CPUs, and binding the calling thread alone. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"

#include <pthread.h>
#include <sched.h>

static cpu_set_t affinity(void)
{
    cpu_set_t cpus;
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    return cpus;
}

static bool is_bound_to(int cpu)
{
    cpu_set_t cpus = affinity();
    return CPU_COUNT(&cpus) == 1 && CPU_ISSET(cpu, &cpus);
}

/* The last CPU that this process may use; there need not be another. */
static int last_cpu(void)
{
    cpu_set_t cpus = affinity();
    int cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET(cpu, &cpus)) cpu--;
    return cpu;
}

static void check_account(const nvtopo_binding *binding, size_t before)
{
    const nvtopo_cpuset *cpus = NULL;
    size_t count = 0;
    CHECK_OK(nvtopo_binding_before(binding, &cpus));
    CHECK_OK(nvtopo_cpuset_count(cpus, &count));
    CHECK(count == before);
    CHECK_OK(nvtopo_binding_after(binding, &cpus));
    CHECK_OK(nvtopo_cpuset_count(cpus, &count));
    CHECK(count == 1);
}

static void check_restored(const cpu_set_t *before)
{
    cpu_set_t now = affinity();
    CHECK(CPU_EQUAL(&now, before));
}

static void restore_and_free(nvtopo_binding *binding, const cpu_set_t *before)
{
    CHECK_OK(nvtopo_binding_restore(binding));
    check_restored(before);
    nvtopo_binding_free(binding);
    check_restored(before);
}

static void *undo(void *binding)
{
    nvtopo_binding *given = (nvtopo_binding *)binding;
    CHECK_FAILS(nvtopo_binding_restore(given), NVTOPO_STATUS_INVALID_REQUEST, "another thread");
    nvtopo_binding_free(given);
    return NULL;
}

/* A thread that is there while another binds. */
struct other {
    pthread_barrier_t barrier;
    cpu_set_t cpus;
};

static void *wait_for_the_binding(void *argument)
{
    struct other *other = (struct other *)argument;
    pthread_barrier_wait(&other->barrier); /* It is there. */
    pthread_barrier_wait(&other->barrier); /* The binding was made. */
    other->cpus = affinity();
    return NULL;
}

/* Where the other thread is after this one was bound by `options`. */
static cpu_set_t other_thread_after(const nvtopo_placement *placement, const nvtopo_bind_options *options)
{
    struct other other;
    pthread_t thread;
    cpu_set_t before = affinity();
    nvtopo_binding *binding = NULL;
    size_t threads = 0;

    CHECK(pthread_barrier_init(&other.barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, wait_for_the_binding, &other) == 0);
    pthread_barrier_wait(&other.barrier);
    CHECK_OK(nvtopo_placement_bind(placement, 0, options, &binding));
    CHECK_OK(nvtopo_binding_thread_count(binding, &threads));
    CHECK(threads >= 1);
    pthread_barrier_wait(&other.barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_barrier_destroy(&other.barrier) == 0);
    restore_and_free(binding, &before);
    return other.cpus;
}

int main(void)
{
    char text[256], list[16];
    cpu_set_t before = affinity(), other;
    size_t count = (size_t)CPU_COUNT(&before);
    int cpu = last_cpu();
    pthread_t thread;
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    nvtopo_plan *plan = NULL;
    nvtopo_cpuset *cpus = NULL, *none = NULL;
    nvtopo_bind_options *options = NULL;
    nvtopo_binding *binding = NULL;
    const char *memory = NULL;

    CHECK(unsetenv("CUDA_VISIBLE_DEVICES") == 0 && unsetenv("CUDA_DEVICE_ORDER") == 0);
    snprintf(text, sizeof text, "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t%d\t0\n", cpu);
    snprintf(list, sizeof list, "%d", cpu);
    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_OK(nvtopo_request_new(1, &request));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_topology_plan(topology, 1, NULL, &plan));
    CHECK_OK(nvtopo_cpuset_parse(list, &cpus));
    CHECK_OK(nvtopo_cpuset_new(NULL, 0, &none));

    CHECK_FAILS(nvtopo_topology_bind_cpus(topology, cpus, "", NULL, &binding), NVTOPO_STATUS_WRONG_MACHINE, "unknown origin");
    CHECK_OK(nvtopo_bind_options_new(&options));
    CHECK_OK(nvtopo_bind_options_trust(options, true));
    CHECK_OK(nvtopo_bind_options_memory(options, "none"));
    CHECK_FAILS(nvtopo_bind_options_memory(options, "some"), NVTOPO_STATUS_INVALID_REQUEST, "interleave");
    CHECK_FAILS(nvtopo_bind_options_threads(options, "some"), NVTOPO_STATUS_INVALID_REQUEST, "calling");
    CHECK_FAILS(nvtopo_topology_bind_cpus(topology, none, "", options, &binding), NVTOPO_STATUS_INVALID_REQUEST, "no CPU");
    CHECK_FAILS(nvtopo_topology_bind_cpus(topology, cpus, "x", options, &binding), NVTOPO_STATUS_INVALID_INPUT, "'x'");
    CHECK_FAILS(nvtopo_plan_bind(plan, 1, options, &binding), NVTOPO_STATUS_INVALID_REQUEST, "rank 1");
    CHECK_NULL(nvtopo_bind_options_new(NULL), "options");
    CHECK_NULL(nvtopo_bind_options_memory(NULL, "none"), "options");
    CHECK_NULL(nvtopo_bind_options_threads(options, NULL), "threads");
    CHECK_NULL(nvtopo_bind_options_trust(NULL, true), "options");
    CHECK_NULL(nvtopo_topology_bind_cpus(NULL, cpus, "", options, &binding), "topology");
    CHECK_NULL(nvtopo_topology_bind_cpus(topology, NULL, "", options, &binding), "cpus");
    CHECK_NULL(nvtopo_topology_bind_cpus(topology, cpus, NULL, options, &binding), "mems");
    CHECK_NULL(nvtopo_topology_bind_cpus(topology, cpus, "", options, NULL), "binding");
    CHECK_NULL(nvtopo_binding_restore(NULL), "binding");
    CHECK(binding == NULL);
    check_restored(&before);

    /* Restored, and told whether that worked; what was done is told still. */
    CHECK_OK(nvtopo_placement_bind(placement, 0, options, &binding));
    CHECK(is_bound_to(cpu));
    check_account(binding, count);
    CHECK_OK(nvtopo_binding_restore(binding));
    check_restored(&before);
    CHECK_OK(nvtopo_binding_restore(binding));
    check_account(binding, count);
    nvtopo_binding_free(binding);
    check_restored(&before);
    CHECK_OK(nvtopo_plan_bind(plan, 0, options, &binding));
    CHECK(is_bound_to(cpu));
    restore_and_free(binding, &before);
    CHECK_OK(nvtopo_topology_bind(topology, 0, 1, NULL, options, &binding));
    CHECK(is_bound_to(cpu));
    restore_and_free(binding, &before);
    CHECK_OK(nvtopo_topology_bind_cpus(topology, cpus, "", options, &binding));
    CHECK(is_bound_to(cpu));
    CHECK_OK(nvtopo_binding_require(binding));
    CHECK_OK(nvtopo_binding_memory(binding, &memory));
    CHECK(memory == NULL);
    restore_and_free(binding, &before);

    /* All threads, or this one. */
    other = other_thread_after(placement, options);
    CHECK(CPU_COUNT(&other) == 1 && CPU_ISSET(cpu, &other));
    CHECK_OK(nvtopo_bind_options_threads(options, "calling"));
    other = other_thread_after(placement, options);
    CHECK(CPU_EQUAL(&other, &before));
    CHECK_OK(nvtopo_bind_options_threads(options, "all"));

    /* Another thread cannot undo it, and freeing leaves the process bound. */
    CHECK_OK(nvtopo_plan_bind(plan, 0, options, &binding));
    CHECK(pthread_create(&thread, NULL, undo, binding) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(is_bound_to(cpu));

    nvtopo_bind_options_free(options);
    nvtopo_cpuset_free(none);
    nvtopo_cpuset_free(cpus);
    nvtopo_plan_free(plan);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
    return 0;
}
