/*
 * An OpenMP program that binds its threads, each to a core of its own, beside the GPU of this rank. Without a GPU the cores
 * are those that the process may use.
 *
 *     cc -fopenmp examples/c/openmp.c $(pkg-config --cflags --libs nvtopo) -Wl,-rpath,"$HOME/.local/lib" -o openmp
 *     ./openmp
 *     mpirun -n 8 ./openmp        each rank beside its own GPU
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <nvtopo.h>

#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define TRY(call)                                                                              \
    do {                                                                                       \
        nvtopo_status status_ = (call);                                                        \
        if (status_ != NVTOPO_STATUS_OK) return status_;                                       \
    } while (0)

/* What would move the threads again after they were bound. */
static nvtopo_status warn_of_variables(void)
{
    nvtopo_hazards *hazards = NULL;
    const char *warning = NULL;
    size_t count = 0, i;
    nvtopo_status status;
    TRY(nvtopo_hazards_here(&hazards));
    status = nvtopo_hazards_count(hazards, &count);
    for (i = 0; status == NVTOPO_STATUS_OK && i < count; i++) {
        status = nvtopo_hazards_warning(hazards, i, &warning);
        if (status == NVTOPO_STATUS_OK) fprintf(stderr, "warning: %s\n", warning);
    }
    nvtopo_hazards_free(hazards);
    return status;
}

/* The CPUs of this rank's share: one hardware thread of each core. */
static nvtopo_status cpus_of_this_rank(const nvtopo_topology *topology, nvtopo_cpuset **cpus)
{
    nvtopo_local_rank local = {-1, 0};
    nvtopo_rules *rules = NULL;
    nvtopo_plan *plan = NULL;
    const nvtopo_cpuset *planned = NULL;
    size_t gpus = 0, ranks = 0, has = 0, rank;
    nvtopo_status status;

    TRY(nvtopo_topology_gpu_count(topology, &gpus));
    TRY(nvtopo_local_rank_here(&local));
    if (gpus == 0 && local.rank < 0) return nvtopo_cpuset_here(cpus);
    rank = local.rank < 0 ? 0 : (size_t)local.rank;
    status = nvtopo_rules_new(&rules);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_rules_smt(rules, "one");
    if (status == NVTOPO_STATUS_OK && gpus == 0) status = nvtopo_rules_gpus_per_rank(rules, 0);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_topology_plan(topology, local.size ? local.size : rank + 1, rules, &plan);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_plan_rank_count(plan, &ranks);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_plan_cpus(plan, rank % ranks, &planned);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_cpuset_count(planned, &has);
    if (status == NVTOPO_STATUS_OK) status = has > 0 ? nvtopo_cpuset_clone(planned, cpus) : nvtopo_cpuset_here(cpus);
    nvtopo_plan_free(plan);
    nvtopo_rules_free(rules);
    return status;
}

/* Binds the calling thread, and no other, to one CPU. The binding lasts when its account is freed. */
static nvtopo_status bind_this_thread(const nvtopo_topology *topology, const nvtopo_bind_options *options, uint32_t cpu)
{
    nvtopo_cpuset *one = NULL;
    nvtopo_binding *binding = NULL;
    nvtopo_status status = nvtopo_cpuset_new(&cpu, 1, &one);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_topology_bind_cpus(topology, one, "", options, &binding);
    nvtopo_binding_free(binding);
    nvtopo_cpuset_free(one);
    return status;
}

static nvtopo_status run(nvtopo_topology **topology, nvtopo_cpuset **cpus, nvtopo_bind_options **options)
{
    static uint32_t cpu_of[1024];
    size_t count = 0;
    int64_t cpu = -1;
    int failed = 0;

    TRY(warn_of_variables());
    TRY(nvtopo_topology_discover(topology));
    TRY(cpus_of_this_rank(*topology, cpus));
    TRY(nvtopo_bind_options_new(options));
    TRY(nvtopo_bind_options_threads(*options, "calling"));
    for (;;) {
        TRY(nvtopo_cpuset_next(*cpus, cpu, &cpu));
        if (cpu < 0 || count == sizeof cpu_of / sizeof cpu_of[0]) break;
        cpu_of[count++] = (uint32_t)cpu;
    }
    omp_set_num_threads((int)count);
#pragma omp parallel reduction(+ : failed)
    {
        uint32_t own = cpu_of[(size_t)omp_get_thread_num() % count];
        /* The last error is each thread's own. */
        if (bind_this_thread(*topology, *options, own) != NVTOPO_STATUS_OK) {
            fprintf(stderr, "thread %d: %s\n", omp_get_thread_num(), nvtopo_last_error_message());
            failed = 1;
        }
#pragma omp critical
        printf("thread %d of %d: on CPU %d, bound to %u\n", omp_get_thread_num(), omp_get_num_threads(), sched_getcpu(),
               (unsigned)own);
    }
    return failed ? NVTOPO_STATUS_REFUSED : NVTOPO_STATUS_OK;
}

int main(int argc, char **argv)
{
    nvtopo_topology *topology = NULL;
    nvtopo_cpuset *cpus = NULL;
    nvtopo_bind_options *options = NULL;
    nvtopo_status status = run(&topology, &cpus, &options);
    (void)argc;
    if (status != NVTOPO_STATUS_OK) fprintf(stderr, "%s: %s\n", argv[0], nvtopo_last_error_message());
    nvtopo_bind_options_free(options);
    nvtopo_cpuset_free(cpus);
    nvtopo_topology_free(topology);
    return status == NVTOPO_STATUS_OK ? 0 : 1;
}
