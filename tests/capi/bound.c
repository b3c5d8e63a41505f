/* Binding for a while: what was found comes back. */

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

static void check_account(const nvtopo_bound *bound, size_t before)
{
    const nvtopo_binding *binding = NULL;
    const nvtopo_cpuset *cpus = NULL;
    size_t count = 0;
    CHECK_OK(nvtopo_bound_binding(bound, &binding));
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

static void *undo(void *bound)
{
    nvtopo_bound *given = (nvtopo_bound *)bound;
    CHECK_FAILS(nvtopo_bound_restore(given), NVTOPO_STATUS_INVALID_REQUEST, "another thread");
    nvtopo_bound_free(given);
    return NULL;
}

int main(void)
{
    char text[256];
    cpu_set_t before = affinity();
    size_t count = (size_t)CPU_COUNT(&before);
    int cpu = last_cpu();
    pthread_t thread;
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    nvtopo_rules *rules = NULL;
    nvtopo_plan *plan = NULL;
    nvtopo_bound *bound = NULL;
    const nvtopo_binding *binding = NULL;

    CHECK(unsetenv("CUDA_VISIBLE_DEVICES") == 0 && unsetenv("CUDA_DEVICE_ORDER") == 0);
    snprintf(text, sizeof text, "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t%d\t0\n", cpu);
    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_OK(nvtopo_request_new(1, &request));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_rules_new(&rules));
    CHECK_OK(nvtopo_topology_plan(topology, 1, rules, &plan));

    CHECK_FAILS(nvtopo_placement_bound(placement, 0, "none", false, &bound), NVTOPO_STATUS_WRONG_MACHINE, "unknown origin");
    CHECK_FAILS(nvtopo_placement_bound(placement, 0, "some", true, &bound), NVTOPO_STATUS_INVALID_REQUEST, "interleave");
    CHECK_FAILS(nvtopo_plan_bound(plan, 1, "none", true, &bound), NVTOPO_STATUS_INVALID_REQUEST, "rank 1");
    CHECK_NULL(nvtopo_placement_bound(NULL, 0, "none", true, &bound), "placement");
    CHECK_NULL(nvtopo_topology_bound(NULL, 0, 1, rules, "none", true, &bound), "topology");
    CHECK_NULL(nvtopo_topology_bound(topology, 0, 1, NULL, "none", true, &bound), "rules");
    CHECK_NULL(nvtopo_plan_bound(NULL, 0, "none", true, &bound), "plan");
    CHECK_NULL(nvtopo_plan_bound(plan, 0, "none", true, NULL), "bound");
    CHECK_NULL(nvtopo_bound_binding(NULL, &binding), "bound");
    CHECK_NULL(nvtopo_bound_restore(NULL), "bound");
    CHECK(bound == NULL && binding == NULL);
    check_restored(&before);

    /* Restored, and told whether that worked. */
    CHECK_OK(nvtopo_placement_bound(placement, 0, "preferred", true, &bound));
    CHECK(is_bound_to(cpu));
    check_account(bound, count);
    CHECK_OK(nvtopo_bound_restore(bound));
    check_restored(&before);
    CHECK_OK(nvtopo_bound_restore(bound));
    check_account(bound, count);
    nvtopo_bound_free(bound);
    check_restored(&before);

    /* Freed only. */
    CHECK_OK(nvtopo_plan_bound(plan, 0, "none", true, &bound));
    CHECK(is_bound_to(cpu));
    nvtopo_bound_free(bound);
    check_restored(&before);
    CHECK_OK(nvtopo_topology_bound(topology, 0, 1, rules, "none", true, &bound));
    CHECK(is_bound_to(cpu));
    nvtopo_bound_free(bound);
    check_restored(&before);
    nvtopo_bound_free(NULL);

    /* Another thread cannot undo it. */
    CHECK_OK(nvtopo_plan_bound(plan, 0, "none", true, &bound));
    CHECK(pthread_create(&thread, NULL, undo, bound) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(is_bound_to(cpu));

    nvtopo_plan_free(plan);
    nvtopo_rules_free(rules);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
    return 0;
}
