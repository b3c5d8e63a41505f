/* Plans for all ranks of a machine, the rules by which CPUs are dealt out, and binding by both. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"

#include <sched.h>

static nvtopo_topology *preset(const char *name)
{
    nvtopo_topology *topology = NULL;
    CHECK_OK(nvtopo_topology_preset(name, &topology));
    return topology;
}

static nvtopo_rules *rules_new(void)
{
    nvtopo_rules *rules = NULL;
    CHECK_OK(nvtopo_rules_new(&rules));
    return rules;
}

static const char *cpus_of(const nvtopo_plan *plan, size_t rank)
{
    const nvtopo_cpuset *cpus = NULL;
    const char *list = NULL;
    CHECK_OK(nvtopo_plan_cpus(plan, rank, &cpus));
    CHECK_OK(nvtopo_cpuset_to_list(cpus, &list));
    return list;
}

static void a_plan_says_what_each_rank_gets(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_rules *rules = rules_new();
    nvtopo_plan *plan = NULL;
    const char *text = NULL, *again = NULL;
    uint32_t gpu = 99;
    size_t count = 99;

    /* What this process sees says nothing of another machine. */
    CHECK(setenv("CUDA_VISIBLE_DEVICES", "3", 1) == 0);
    CHECK_OK(nvtopo_topology_plan(topology, 0, rules, &plan));
    CHECK(unsetenv("CUDA_VISIBLE_DEVICES") == 0);
    nvtopo_rules_free(rules);
    nvtopo_topology_free(topology); /* The plan lives on. */

    CHECK_OK(nvtopo_plan_rank_count(plan, &count));
    CHECK(count == 8);
    CHECK_OK(nvtopo_plan_gpu_count(plan, 5, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_plan_gpu(plan, 5, 0, &gpu));
    CHECK(gpu == 5);
    CHECK_FAILS(nvtopo_plan_gpu(plan, 5, 1, &gpu), NVTOPO_STATUS_INVALID_REQUEST, "GPU 1");
    CHECK_TEXT(cpus_of(plan, 5), "70-83,182-195");
    CHECK_OK(nvtopo_plan_own_cores(plan, 5, &count));
    CHECK(count == 14);
    CHECK_OK(nvtopo_plan_mems(plan, 5, &text));
    CHECK_TEXT(text, "1");
    CHECK_OK(nvtopo_plan_nic(plan, 5, &text));
    CHECK_TEXT(text, "mlx5_9");
    CHECK_OK(nvtopo_plan_remark_count(plan, &count));
    CHECK(count == 0);
    CHECK_FAILS(nvtopo_plan_remark(plan, 0, &text), NVTOPO_STATUS_INVALID_REQUEST, "remark");

    CHECK_OK(nvtopo_plan_format(plan, "taskset", &text));
    CHECK(strncmp(text, "taskset -c 0-13,112-125\n", 24) == 0);
    CHECK_OK(nvtopo_plan_format(plan, "rankfile-ompi5", &again));
    CHECK(strstr(again, "rank 7=localhost slot=196-223") != NULL);
    CHECK_OK(nvtopo_plan_format(plan, "taskset", &again));
    CHECK(again == text);
    CHECK_FAILS(nvtopo_plan_format(plan, "lsf", &text), NVTOPO_STATUS_INVALID_REQUEST, "rankfile-ompi5");

    CHECK_OK(nvtopo_plan_format_memory(plan, "docker", "bind", &text));
    CHECK(strncmp(text, "--cpuset-cpus=0-13,112-125 --cpuset-mems=0\n", 43) == 0);
    CHECK_OK(nvtopo_plan_format_memory(plan, "docker", "none", &again));
    CHECK(strncmp(again, "--cpuset-cpus=0-13,112-125\n", 27) == 0);
    CHECK_OK(nvtopo_plan_format_memory(plan, "numactl", "interleave", &again));
    CHECK(strstr(again, "--interleave=1\n") != NULL);
    CHECK(strncmp(text, "--cpuset-cpus=0-13,112-125 --cpuset-mems=0\n", 43) == 0); /* It is still there. */
    CHECK_FAILS(nvtopo_plan_format_memory(plan, "mpich", "bind", &text), NVTOPO_STATUS_INVALID_REQUEST, "cannot say");
    CHECK_FAILS(nvtopo_plan_format_memory(plan, "docker", "hard", &text), NVTOPO_STATUS_INVALID_REQUEST, "interleave");
    nvtopo_plan_free(plan);
    nvtopo_plan_free(NULL);
}

static void rules_say_how_cpus_are_dealt_out(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_rules *rules = rules_new();
    nvtopo_plan *plan = NULL;
    nvtopo_cpuset *cpus = NULL;
    const char *text = NULL;
    uint32_t gpu = 99;
    size_t count = 99;

    CHECK_OK(nvtopo_rules_policy(rules, "node"));
    CHECK_OK(nvtopo_rules_smt(rules, "one"));
    CHECK_OK(nvtopo_topology_plan(topology, 2, rules, &plan));
    CHECK_TEXT(cpus_of(plan, 0), "0-55");
    CHECK_TEXT(cpus_of(plan, 1), "0-55");
    CHECK_OK(nvtopo_plan_own_cores(plan, 0, &count));
    CHECK(count == 0);
    nvtopo_plan_free(plan);

    CHECK_OK(nvtopo_cpuset_parse("0-7", &cpus));
    CHECK_OK(nvtopo_rules_allow_cpus(rules, cpus));
    nvtopo_cpuset_free(cpus);
    CHECK_OK(nvtopo_cpuset_parse("0-3", &cpus));
    CHECK_OK(nvtopo_rules_reserve_cpus(rules, cpus));
    nvtopo_cpuset_free(cpus);
    CHECK_OK(nvtopo_topology_plan(topology, 1, rules, &plan));
    CHECK_TEXT(cpus_of(plan, 0), "4-7");
    nvtopo_plan_free(plan);
    plan = NULL;

    CHECK_OK(nvtopo_rules_scope(rules, "cpuset"));
    nvtopo_rules_free(rules);

    rules = rules_new();
    CHECK_OK(nvtopo_rules_gpus_per_rank(rules, 2));
    CHECK_OK(nvtopo_rules_distribution(rules, "cyclic"));
    CHECK_OK(nvtopo_rules_cores_per_rank(rules, 4));
    CHECK_OK(nvtopo_topology_plan(topology, 0, rules, &plan));
    CHECK_OK(nvtopo_plan_rank_count(plan, &count));
    CHECK(count == 4);
    CHECK_OK(nvtopo_plan_gpu_count(plan, 1, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_plan_gpu(plan, 1, 1, &gpu));
    CHECK(gpu == 5);
    CHECK_OK(nvtopo_plan_own_cores(plan, 1, &count));
    CHECK(count == 4);
    CHECK_OK(nvtopo_plan_nic_count(plan, 1, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_plan_nic_name(plan, 1, 1, &text));
    CHECK_TEXT(text, "mlx5_9");
    CHECK_FAILS(nvtopo_plan_nic_name(plan, 1, 2, &text), NVTOPO_STATUS_INVALID_REQUEST, "NIC 2");
    CHECK_OK(nvtopo_plan_remark_count(plan, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_plan_remark(plan, 0, &text));
    CHECK(strstr(text, "stay free") != NULL);
    nvtopo_plan_free(plan);
    CHECK_OK(nvtopo_rules_cores_per_rank(rules, 0));
    CHECK_OK(nvtopo_rules_gpus_per_rank(rules, 0));
    CHECK_OK(nvtopo_topology_plan(topology, 4, rules, &plan));
    CHECK_TEXT(cpus_of(plan, 1), "56-83,168-195");
    CHECK_OK(nvtopo_plan_gpu_count(plan, 1, &count));
    CHECK(count == 0);
    nvtopo_plan_free(plan);
    plan = NULL;
    CHECK_FAILS(nvtopo_topology_plan(topology, 0, rules, &plan), NVTOPO_STATUS_INVALID_REQUEST, "how many ranks");
    CHECK_OK(nvtopo_rules_gpus_per_rank(rules, 5));
    CHECK_FAILS(nvtopo_topology_plan(topology, 2, rules, &plan), NVTOPO_STATUS_UNSATISFIABLE, "5 GPUs");
    CHECK_FAILS(nvtopo_rules_distribution(rules, "sideways"), NVTOPO_STATUS_INVALID_REQUEST, "cyclic");
    CHECK_FAILS(nvtopo_rules_policy(rules, "every"), NVTOPO_STATUS_INVALID_REQUEST, "exclusive");
    CHECK_FAILS(nvtopo_rules_smt(rules, "two"), NVTOPO_STATUS_INVALID_REQUEST, "one");
    CHECK_OK(nvtopo_rules_isolated(rules, "use"));
    CHECK_FAILS(nvtopo_rules_isolated(rules, "some"), NVTOPO_STATUS_INVALID_REQUEST, "avoid");
    CHECK_OK(nvtopo_rules_cores(rules, "all"));
    CHECK_FAILS(nvtopo_rules_cores(rules, "slow"), NVTOPO_STATUS_INVALID_REQUEST, "fast");
    CHECK_FAILS(nvtopo_rules_scope(rules, "all"), NVTOPO_STATUS_INVALID_REQUEST, "cpuset");
    CHECK_FAILS(nvtopo_topology_plan(topology, 100000, rules, &plan), NVTOPO_STATUS_INVALID_REQUEST, "100000");
    CHECK(plan == NULL);
    nvtopo_rules_free(rules);
    nvtopo_rules_free(NULL);
    nvtopo_topology_free(topology);
}

static int first_cpu(void)
{
    cpu_set_t cpus;
    int cpu = 0;
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    while (!CPU_ISSET(cpu, &cpus)) cpu++;
    return cpu;
}

static void check_bound(nvtopo_binding *binding, int cpu, const char *memory)
{
    const nvtopo_cpuset *after = NULL;
    const char *policy = NULL, *warning = NULL;
    size_t count = 0, i;
    bool contains = false, refused = false;

    CHECK_OK(nvtopo_binding_after(binding, &after));
    CHECK_OK(nvtopo_cpuset_contains(after, (uint32_t)cpu, &contains));
    CHECK_OK(nvtopo_cpuset_count(after, &count));
    CHECK(contains && count == 1);
    CHECK_OK(nvtopo_binding_warning_count(binding, &count));
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_binding_warning(binding, i, &warning));
        refused = refused || strstr(warning, "memory") != NULL;
    }
    CHECK_OK(nvtopo_binding_memory(binding, &policy));
    if (memory == NULL || refused) CHECK(policy == NULL); /* Where the sandbox does not let it. */
    else CHECK_TEXT(policy, memory);
    nvtopo_binding_free(binding);
}

static void a_process_is_bound(void)
{
    char text[256];
    int cpu = first_cpu();
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    nvtopo_rules *rules = rules_new();
    nvtopo_plan *plan = NULL;
    nvtopo_binding *binding = NULL;
    nvtopo_bind_options *options = NULL;

    snprintf(text, sizeof text,
             "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n"
             "GPU0\t X \tNV4\t%d\t0\n"
             "GPU1\tNV4\t X \t%d\t0\n",
             cpu, cpu);
    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_OK(nvtopo_request_new(2, &request));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_topology_plan(topology, 2, rules, &plan));
    CHECK_OK(nvtopo_rules_policy(rules, "node"));

    CHECK_FAILS(nvtopo_plan_bind(plan, 0, NULL, &binding), NVTOPO_STATUS_WRONG_MACHINE, "unknown origin");
    CHECK_OK(nvtopo_bind_options_new(&options));
    CHECK_OK(nvtopo_bind_options_trust(options, true));
    CHECK_FAILS(nvtopo_plan_bind(plan, 2, options, &binding), NVTOPO_STATUS_INVALID_REQUEST, "rank 2");
    CHECK_FAILS(nvtopo_bind_options_memory(options, "all"), NVTOPO_STATUS_INVALID_REQUEST, "interleave");
    CHECK_FAILS(nvtopo_topology_bind(topology, 2, 2, rules, options, &binding), NVTOPO_STATUS_INVALID_REQUEST,
                "2 local ranks");
    CHECK_NULL(nvtopo_plan_bind(NULL, 0, options, &binding), "plan");
    CHECK_NULL(nvtopo_plan_bind(plan, 0, options, NULL), "binding");
    CHECK_NULL(nvtopo_binding_memory(NULL, NULL), "policy");
    CHECK(binding == NULL);

    CHECK_OK(nvtopo_bind_options_memory(options, "none"));
    CHECK_OK(nvtopo_placement_bind(placement, 1, options, &binding));
    check_bound(binding, cpu, NULL);
    CHECK_OK(nvtopo_bind_options_memory(options, "local"));
    CHECK_OK(nvtopo_plan_bind(plan, 1, options, &binding));
    check_bound(binding, cpu, "local");
    CHECK_OK(nvtopo_bind_options_memory(options, "preferred"));
    CHECK_OK(nvtopo_topology_bind(topology, 1, 2, rules, options, &binding));
    check_bound(binding, cpu, "preferred");
    nvtopo_bind_options_free(options);

    nvtopo_plan_free(plan);
    nvtopo_rules_free(rules);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

/* A launcher plans for a process that it is about to start: that one's variables count, not its own. */
static void a_plan_is_made_for_another_process(void)
{
    static const char *const two[] = {"CUDA_VISIBLE_DEVICES=5,4", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2", "OMP_NUM_THREADS=7"};
    static const char *const wrong[] = {"CUDA_VISIBLE_DEVICES"};
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_rules *rules = rules_new(), *same = NULL;
    nvtopo_plan *plan = NULL;
    nvtopo_environment *environment = NULL;
    nvtopo_local_rank local = {7, 7};
    const char *json = NULL;
    uint32_t gpu = 99;
    size_t count = 99;

    CHECK_OK(nvtopo_rules_clone(rules, &same));
    CHECK_NULL(nvtopo_rules_clone(NULL, &same), "rules");
    CHECK_OK(nvtopo_topology_plan_of(topology, 0, same, two, 4, &plan));
    CHECK_OK(nvtopo_plan_rank_count(plan, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_plan_gpu(plan, 0, 0, &gpu));
    CHECK(gpu == 5);
    CHECK_OK(nvtopo_plan_environment(plan, 0, "", &environment));
    CHECK_OK(nvtopo_environment_count(environment, &count));
    CHECK(count == 0); /* OMP_NUM_THREADS is set there. */
    nvtopo_environment_free(environment);
    CHECK_OK(nvtopo_plan_to_json(plan, &json));
    CHECK(strstr(json, "\"ranks\"") != NULL);
    CHECK_NULL(nvtopo_plan_to_json(NULL, &json), "plan");
    nvtopo_plan_free(plan);
    plan = NULL;
    CHECK_OK(nvtopo_topology_plan_of(topology, 3, NULL, NULL, 0, &plan)); /* No variable, and the default rules. */
    CHECK_OK(nvtopo_plan_rank_count(plan, &count));
    CHECK(count == 3);
    nvtopo_plan_free(plan);
    plan = NULL;
    CHECK_FAILS(nvtopo_topology_plan_of(topology, 0, rules, wrong, 1, &plan), NVTOPO_STATUS_INVALID_REQUEST, "NAME=VALUE");
    CHECK_NULL(nvtopo_topology_plan_of(topology, 0, rules, NULL, 1, &plan), "variables");
    CHECK_NULL(nvtopo_topology_plan_of(NULL, 0, rules, two, 2, &plan), "topology");
    CHECK(plan == NULL);

    CHECK_OK(nvtopo_local_rank_of(two, 4, &local));
    CHECK(local.rank == 1 && local.size == 2);
    CHECK_OK(nvtopo_local_rank_of(NULL, 0, &local));
    CHECK(local.rank == -1 && local.size == 0);
    CHECK_FAILS(nvtopo_local_rank_of(wrong, 1, &local), NVTOPO_STATUS_INVALID_REQUEST, "NAME=VALUE");
    CHECK(setenv("LOCAL_RANK", "3", 1) == 0);
    CHECK_OK(nvtopo_local_rank_here(&local));
    CHECK(local.rank == 3);
    CHECK(setenv("LOCAL_RANK", "first", 1) == 0);
    CHECK_FAILS(nvtopo_local_rank_here(&local), NVTOPO_STATUS_INVALID_REQUEST, "LOCAL_RANK");
    CHECK(unsetenv("LOCAL_RANK") == 0);
    CHECK_NULL(nvtopo_local_rank_here(NULL), "local");
    nvtopo_rules_free(same);
    nvtopo_rules_free(rules);
    nvtopo_topology_free(topology);
}

static void misuse_is_an_error(void)
{
    nvtopo_topology *topology = preset("gh200");
    nvtopo_rules *rules = rules_new();
    nvtopo_plan *plan = NULL;
    const nvtopo_cpuset *cpus = NULL;
    const char *text = NULL;
    uint32_t gpu = 7;
    size_t count = 7;

    CHECK_NULL(nvtopo_rules_new(NULL), "rules");
    CHECK_NULL(nvtopo_rules_policy(NULL, "node"), "rules");
    CHECK_NULL(nvtopo_rules_policy(rules, NULL), "name");
    CHECK_NULL(nvtopo_rules_allow_cpus(rules, NULL), "cpus");
    CHECK_NULL(nvtopo_rules_reserve_cpus(rules, NULL), "cpus");
    CHECK_NULL(nvtopo_rules_isolated(NULL, "use"), "rules");
    CHECK_NULL(nvtopo_rules_cores(rules, NULL), "cores");
    CHECK_NULL(nvtopo_topology_plan(NULL, 1, rules, &plan), "topology");
    CHECK_OK(nvtopo_topology_plan(topology, 1, NULL, &plan)); /* The default rules. */
    nvtopo_plan_free(plan);
    plan = NULL;
    CHECK_NULL(nvtopo_topology_plan(topology, 1, rules, NULL), "plan");
    CHECK_NULL(nvtopo_plan_rank_count(NULL, &count), "plan");
    CHECK_NULL(nvtopo_plan_gpu_count(NULL, 0, &count), "plan");
    CHECK_NULL(nvtopo_plan_gpu(NULL, 0, 0, &gpu), "plan");
    CHECK_NULL(nvtopo_plan_cpus(NULL, 0, &cpus), "plan");
    CHECK_NULL(nvtopo_plan_own_cores(NULL, 0, &count), "plan");
    CHECK_NULL(nvtopo_plan_mems(NULL, 0, &text), "plan");
    CHECK_NULL(nvtopo_plan_nic(NULL, 0, &text), "plan");
    CHECK_NULL(nvtopo_plan_remark_count(NULL, &count), "plan");
    CHECK_NULL(nvtopo_plan_remark(NULL, 0, &text), "plan");
    CHECK_NULL(nvtopo_plan_format(NULL, "taskset", &text), "plan");
    CHECK_OK(nvtopo_topology_plan(topology, 1, rules, &plan));
    CHECK_FAILS(nvtopo_plan_cpus(plan, 1, &cpus), NVTOPO_STATUS_INVALID_REQUEST, "rank 1");
    CHECK_FAILS(nvtopo_plan_own_cores(plan, 1, &count), NVTOPO_STATUS_INVALID_REQUEST, "rank 1");
    CHECK_OK(nvtopo_plan_nic(plan, 0, &text));
    CHECK(cpus == NULL && gpu == 7 && count == 7);
    nvtopo_plan_free(plan);
    nvtopo_rules_free(rules);
    nvtopo_topology_free(topology);
}

int main(void)
{
    a_plan_says_what_each_rank_gets();
    rules_say_how_cpus_are_dealt_out();
    misuse_is_an_error();
    a_process_is_bound();
    a_plan_is_made_for_another_process();
    return 0;
}
