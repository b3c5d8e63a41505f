/*
 * Stands between mpirun and a program: binds each rank beside its GPU, tells libraries of it, and becomes the program.
 *
 *     cc examples/c/mpi_wrapper.c $(pkg-config --cflags --libs nvtopo) -Wl,-rpath,"$HOME/.local/lib" -o mpi_wrapper
 *     mpirun -n 8 ./mpi_wrapper ./simulation input.dat
 *     NVTOPO_SOURCE=preset:dgx-h100 ./mpi_wrapper env       what each rank would get there; nothing is bound
 *
 * It needs no MPI: the launcher's variables say which rank this is.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <nvtopo.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRY(call)                                                                              \
    do {                                                                                       \
        nvtopo_status status_ = (call);                                                        \
        if (status_ != NVTOPO_STATUS_OK) return status_;                                       \
    } while (0)

/* What is made here is freed by the end of the process or by its becoming another program. */
static nvtopo_status set_variables(const nvtopo_plan *plan, size_t rank)
{
    nvtopo_environment *environment = NULL;
    nvtopo_variable variable;
    size_t count = 0, i;
    TRY(nvtopo_plan_environment(plan, rank, "gpus,ib-hca,ucx-device", &environment));
    TRY(nvtopo_environment_count(environment, &count));
    for (i = 0; i < count; i++) {
        TRY(nvtopo_environment_variable(environment, i, &variable));
        setenv(variable.name, variable.value, 1);
    }
    nvtopo_environment_free(environment);
    return NVTOPO_STATUS_OK;
}

static nvtopo_status bind_rank(const nvtopo_plan *plan, size_t rank)
{
    nvtopo_binding *binding = NULL;
    const char *warning = NULL;
    size_t count = 0, i;
    TRY(nvtopo_plan_bind(plan, rank, NULL, &binding));
    TRY(nvtopo_binding_warning_count(binding, &count));
    for (i = 0; i < count; i++) {
        TRY(nvtopo_binding_warning(binding, i, &warning));
        fprintf(stderr, "rank %lu: %s\n", (unsigned long)rank, warning);
    }
    nvtopo_binding_free(binding); /* The process stays bound. */
    return NVTOPO_STATUS_OK;
}

static nvtopo_status prepare(void)
{
    const char *source = getenv("NVTOPO_SOURCE");
    nvtopo_topology *topology = NULL;
    nvtopo_rules *rules = NULL;
    nvtopo_plan *plan = NULL;
    nvtopo_local_rank local = {-1, 0};
    size_t rank, gpus = 0;

    TRY(nvtopo_local_rank_here(&local));
    rank = local.rank < 0 ? 0 : (size_t)local.rank;
    TRY(nvtopo_topology_open(source ? source : "live", &topology));
    TRY(nvtopo_topology_gpu_count(topology, &gpus));
    TRY(nvtopo_rules_new(&rules));
    /* mpirun has bound each rank already, to one core or so: what it may widen to counts. */
    TRY(nvtopo_rules_scope(rules, "cpuset"));
    if (gpus == 0) TRY(nvtopo_rules_gpus_per_rank(rules, 0));
    TRY(nvtopo_topology_plan(topology, local.size ? local.size : rank + 1, rules, &plan));
    TRY(set_variables(plan, rank));
    if (source == NULL) TRY(bind_rank(plan, rank));
    nvtopo_plan_free(plan);
    nvtopo_rules_free(rules);
    nvtopo_topology_free(topology);
    return NVTOPO_STATUS_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: mpirun -n RANKS %s COMMAND [ARGUMENTS]\n", argv[0]);
        return 2;
    }
    if (prepare() != NVTOPO_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], nvtopo_last_error_message());
        return 2;
    }
    execvp(argv[1], argv + 1);
    fprintf(stderr, "%s: %s: %s\n", argv[0], argv[1], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
