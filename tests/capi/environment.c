/* The variables that tell what was chosen, and those that undo a binding. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"

#include <stdlib.h>

static nvtopo_plan *plan_of(const char *preset, size_t ranks)
{
    nvtopo_topology *topology = NULL;
    nvtopo_rules *rules = NULL;
    nvtopo_plan *plan = NULL;
    CHECK_OK(nvtopo_topology_preset(preset, &topology));
    CHECK_OK(nvtopo_rules_new(&rules));
    CHECK_OK(nvtopo_topology_plan(topology, ranks, rules, &plan));
    nvtopo_rules_free(rules);
    nvtopo_topology_free(topology);
    return plan;
}

static size_t count_of(const nvtopo_environment *environment)
{
    size_t count = 99;
    CHECK_OK(nvtopo_environment_count(environment, &count));
    return count;
}

static void a_rank_is_told_its_threads(void)
{
    nvtopo_plan *plan = plan_of("dgx-h100", 8);
    nvtopo_environment *environment = NULL;
    nvtopo_variable variable;

    CHECK_OK(nvtopo_plan_environment(plan, 1, "", &environment));
    CHECK(count_of(environment) == 1);
    CHECK_OK(nvtopo_environment_variable(environment, 0, &variable));
    CHECK_TEXT(variable.name, "OMP_NUM_THREADS");
    CHECK_TEXT(variable.value, "14");
    CHECK_FAILS(nvtopo_environment_variable(environment, 1, &variable), NVTOPO_STATUS_INVALID_REQUEST, "variable 1");
    nvtopo_environment_free(environment);

    CHECK(setenv("OMP_NUM_THREADS", "1", 1) == 0);
    CHECK_OK(nvtopo_plan_environment(plan, 1, "", &environment));
    CHECK(count_of(environment) == 0);
    nvtopo_environment_free(environment);
    CHECK_OK(nvtopo_plan_environment(plan, 1, "threads,gpus", &environment));
    CHECK(count_of(environment) == 3);
    CHECK_OK(nvtopo_environment_variable(environment, 2, &variable));
    nvtopo_plan_free(plan); /* The environment lives on. */
    CHECK_TEXT(variable.name, "CUDA_VISIBLE_DEVICES");
    CHECK_TEXT(variable.value, "0,1,2,3,4,5,6,7");
    nvtopo_environment_free(environment);
    nvtopo_environment_free(NULL);
    CHECK(unsetenv("OMP_NUM_THREADS") == 0);
}

static void what_undoes_a_binding_is_found(void)
{
    static const char *const close[] = {"HOME=/", "OMP_PROC_BIND=close"};
    static const char *const harmless[] = {"OMP_PROC_BIND=false"};
    nvtopo_hazards *hazards = NULL;
    const char *text = NULL;
    size_t count = 99;

    CHECK_OK(nvtopo_hazards_here(&hazards));
    CHECK_OK(nvtopo_hazards_count(hazards, &count));
    CHECK(count == 0);
    nvtopo_hazards_free(hazards);
    CHECK(setenv("OMP_PLACES", "cores", 1) == 0);
    CHECK_OK(nvtopo_hazards_here(&hazards));
    CHECK_OK(nvtopo_hazards_count(hazards, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_hazards_warning(hazards, 0, &text));
    CHECK(strstr(text, "OMP_PLACES=cores undoes the binding") == text);
    CHECK_FAILS(nvtopo_hazards_warning(hazards, 1, &text), NVTOPO_STATUS_INVALID_REQUEST, "warning 1");
    nvtopo_hazards_free(hazards);

    /* Of another process, these only. */
    CHECK_OK(nvtopo_hazards_of(close, 2, &hazards));
    CHECK_OK(nvtopo_hazards_count(hazards, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_hazards_warning(hazards, 0, &text));
    CHECK(strstr(text, "OMP_PROC_BIND=close") == text);
    nvtopo_hazards_free(hazards);
    CHECK_OK(nvtopo_hazards_of(harmless, 1, &hazards));
    CHECK_OK(nvtopo_hazards_count(hazards, &count));
    CHECK(count == 0);
    nvtopo_hazards_free(hazards);
    nvtopo_hazards_free(NULL);
    CHECK(unsetenv("OMP_PLACES") == 0);
}

static void misuse_is_an_error(void)
{
    static const char *const wrong[] = {"OMP_PLACES"};
    nvtopo_plan *plan = plan_of("gh200", 1);
    nvtopo_environment *environment = NULL;
    nvtopo_hazards *hazards = NULL;
    nvtopo_variable variable;
    const char *text = NULL;
    size_t count = 7;

    CHECK_FAILS(nvtopo_plan_environment(plan, 0, "all", &environment), NVTOPO_STATUS_INVALID_REQUEST, "ib-hca");
    CHECK_FAILS(nvtopo_plan_environment(plan, 1, "", &environment), NVTOPO_STATUS_INVALID_REQUEST, "rank 1");
    CHECK_NULL(nvtopo_plan_environment(NULL, 0, "", &environment), "plan");
    CHECK_NULL(nvtopo_plan_environment(plan, 0, NULL, &environment), "exports");
    CHECK_NULL(nvtopo_plan_environment(plan, 0, "", NULL), "environment");
    CHECK_NULL(nvtopo_environment_count(NULL, &count), "environment");
    CHECK_NULL(nvtopo_environment_variable(NULL, 0, &variable), "environment");
    CHECK_FAILS(nvtopo_hazards_of(wrong, 1, &hazards), NVTOPO_STATUS_INVALID_REQUEST, "NAME=VALUE");
    CHECK_NULL(nvtopo_hazards_of(NULL, 1, &hazards), "variables");
    CHECK_NULL(nvtopo_hazards_here(NULL), "hazards");
    CHECK_NULL(nvtopo_hazards_count(NULL, &count), "hazards");
    CHECK_NULL(nvtopo_hazards_warning(NULL, 0, &text), "hazards");
    CHECK(environment == NULL && hazards == NULL && text == NULL && count == 7);
    nvtopo_plan_free(plan);
}

int main(void)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY",
                                        "KMP_AFFINITY"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) CHECK(unsetenv(names[i]) == 0);
    a_rank_is_told_its_threads();
    what_undoes_a_binding_is_found();
    misuse_is_an_error();
    return 0;
}
