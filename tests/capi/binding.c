/* Binding this process, by a text that gives two GPUs a CPU on which it may run. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"

#include <sched.h>
#include <stdlib.h>

/* The topologies here are texts, which say nothing of whose they are. */
static nvtopo_bind_options *trusting = NULL;

static int first_cpu(void)
{
    cpu_set_t cpus;
    int cpu = 0;
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    while (!CPU_ISSET(cpu, &cpus)) cpu++;
    return cpu;
}

static nvtopo_placement *placement_of(const char *text)
{
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_OK(nvtopo_request_new(2, &request));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
    return placement;
}

static void a_process_is_bound(const nvtopo_placement *placement, int cpu, int64_t local_rank)
{
    nvtopo_binding *binding = NULL;
    const nvtopo_cpuset *before = NULL, *after = NULL;
    const char *text = NULL;
    size_t count = 0, i;
    bool contains = false;
    cpu_set_t cpus;

    CHECK_OK(nvtopo_placement_bind(placement, local_rank, trusting, &binding));
    CHECK_OK(nvtopo_binding_before(binding, &before));
    CHECK_OK(nvtopo_cpuset_contains(before, (uint32_t)cpu, &contains));
    CHECK(contains);
    CHECK_OK(nvtopo_binding_after(binding, &after));
    CHECK_OK(nvtopo_cpuset_count(after, &count));
    CHECK_OK(nvtopo_cpuset_contains(after, (uint32_t)cpu, &contains));
    CHECK(contains && count == 1);
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    CHECK(CPU_COUNT(&cpus) == 1 && CPU_ISSET(cpu, &cpus));
    CHECK_OK(nvtopo_binding_thread_count(binding, &count));
    CHECK(count >= 1);
    CHECK_OK(nvtopo_binding_mems(binding, &text));
    CHECK(text == NULL || strcmp(text, "0") == 0); /* Node 0, where the sandbox lets it. */
    CHECK_OK(nvtopo_binding_warning_count(binding, &count));
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_binding_warning(binding, i, &text));
        CHECK(text[0] != '\0');
    }
    CHECK_FAILS(nvtopo_binding_warning(binding, count, &text), NVTOPO_STATUS_INVALID_REQUEST, "warning");
    nvtopo_binding_free(binding);
}

/* A GPU of whose CPUs nothing is known: the process runs on as it was, unless the program requires more. */
static void nothing_to_bind_to_can_be_an_error(const nvtopo_placement *bound_to)
{
    const char *text = "\tGPU0\nGPU0\t X \n";
    nvtopo_topology *topology = NULL;
    nvtopo_binding *binding = NULL;
    size_t count = 7;

    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_OK(nvtopo_topology_bind(topology, -1, 0, NULL, trusting, &binding));
    CHECK_FAILS(nvtopo_binding_require(binding), NVTOPO_STATUS_UNSATISFIABLE, "nothing to bind to");
    CHECK_OK(nvtopo_binding_thread_count(binding, &count));
    CHECK(count == 0);
    nvtopo_binding_free(binding);
    CHECK_OK(nvtopo_placement_bind(bound_to, 0, trusting, &binding));
    CHECK_OK(nvtopo_binding_require(binding));
    CHECK_NULL(nvtopo_binding_require(NULL), "binding");
    nvtopo_binding_free(binding);
    nvtopo_topology_free(topology);
}

static void a_process_is_bound_by_what_it_sees(const char *text, int cpu)
{
    nvtopo_topology *topology = NULL;
    nvtopo_binding *binding = NULL;
    const nvtopo_cpuset *after = NULL;
    const char *warning = NULL;
    size_t count = 0;
    bool contains = false;

    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_FAILS(nvtopo_topology_bind(topology, -1, 0, NULL, NULL, &binding), NVTOPO_STATUS_WRONG_MACHINE, "unknown origin");
    CHECK_FAILS(nvtopo_topology_bind(topology, -2, 0, NULL, trusting, &binding), NVTOPO_STATUS_INVALID_REQUEST, "-2");
    CHECK_NULL(nvtopo_topology_bind(NULL, -1, 0, NULL, trusting, &binding), "topology");
    CHECK_NULL(nvtopo_topology_bind(topology, -1, 0, NULL, trusting, NULL), "binding");

    CHECK(setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1) == 0);
    CHECK(setenv("CUDA_VISIBLE_DEVICES", "1", 1) == 0);
    CHECK_OK(nvtopo_topology_bind(topology, 0, 0, NULL, trusting, &binding));
    CHECK_OK(nvtopo_binding_after(binding, &after));
    CHECK_OK(nvtopo_cpuset_contains(after, (uint32_t)cpu, &contains));
    CHECK_OK(nvtopo_cpuset_count(after, &count));
    CHECK(contains && count == 1);
    nvtopo_binding_free(binding);

    CHECK(setenv("CUDA_VISIBLE_DEVICES", "7", 1) == 0);
    CHECK_OK(nvtopo_topology_bind(topology, -1, 0, NULL, trusting, &binding));
    CHECK_OK(nvtopo_binding_thread_count(binding, &count));
    CHECK(count == 0);
    CHECK_OK(nvtopo_binding_warning(binding, 0, &warning));
    CHECK(strstr(warning, "'7' in CUDA_VISIBLE_DEVICES names no GPU") != NULL);
    nvtopo_binding_free(binding);
    nvtopo_topology_free(topology);
}

static void misuse_is_an_error(const nvtopo_placement *placement)
{
    nvtopo_binding *binding = NULL;
    const nvtopo_cpuset *cpus = NULL;
    const char *text = NULL;
    size_t count = 7;

    CHECK_FAILS(nvtopo_placement_bind(placement, -1, NULL, &binding), NVTOPO_STATUS_WRONG_MACHINE, "unknown origin");
    CHECK_FAILS(nvtopo_placement_bind(placement, -2, trusting, &binding), NVTOPO_STATUS_INVALID_REQUEST, "-2");
    CHECK_FAILS(nvtopo_placement_bind(placement, 2, trusting, &binding), NVTOPO_STATUS_INVALID_REQUEST, "local rank 2");
    CHECK_NULL(nvtopo_placement_bind(NULL, -1, trusting, &binding), "placement");
    CHECK_NULL(nvtopo_placement_bind(placement, -1, trusting, NULL), "binding");
    CHECK_NULL(nvtopo_binding_before(NULL, &cpus), "binding");
    CHECK_NULL(nvtopo_binding_after(NULL, &cpus), "binding");
    CHECK_NULL(nvtopo_binding_mems(NULL, &text), "binding");
    CHECK_NULL(nvtopo_binding_thread_count(NULL, &count), "binding");
    CHECK_NULL(nvtopo_binding_warning_count(NULL, &count), "binding");
    CHECK_NULL(nvtopo_binding_warning(NULL, 0, &text), "binding");
    CHECK(binding == NULL && cpus == NULL && text == NULL && count == 7);
}

int main(void)
{
    char text[256];
    int cpu = first_cpu();
    nvtopo_placement *placement, *elsewhere;
    nvtopo_binding *binding = NULL;

    snprintf(text, sizeof text,
             "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n"
             "GPU0\t X \tNV4\t%d\t0\n"
             "GPU1\tNV4\t X \t%d\t0\n",
             cpu, cpu);
    CHECK_OK(nvtopo_bind_options_new(&trusting));
    CHECK_OK(nvtopo_bind_options_trust(trusting, true));
    placement = placement_of(text);
    misuse_is_an_error(placement);

    elsewhere = placement_of("\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t60001\nGPU1\tNV4\t X \t60001\n");
    CHECK_FAILS(nvtopo_placement_bind(elsewhere, 0, trusting, &binding), NVTOPO_STATUS_REFUSED, "60001");
    nvtopo_placement_free(elsewhere);

    a_process_is_bound(placement, cpu, 0);
    a_process_is_bound(placement, cpu, 1);
    a_process_is_bound(placement, cpu, -1);
    nothing_to_bind_to_can_be_an_error(placement);
    nvtopo_placement_free(placement);
    a_process_is_bound_by_what_it_sees(text, cpu);
    nvtopo_bind_options_free(trusting);
    nvtopo_bind_options_free(NULL);
    return 0;
}
