/* What is near: local CPUs and memory, NICs, NVLink groups, NUMA nodes, and the shares of all GPUs. */

#include "check.h"

static nvtopo_topology *preset(const char *name)
{
    nvtopo_topology *topology = NULL;
    CHECK_OK(nvtopo_topology_preset(name, &topology));
    return topology;
}

static void check_cpus(const nvtopo_cpuset *cpus, const char *expected)
{
    const char *list = NULL;
    CHECK_OK(nvtopo_cpuset_to_list(cpus, &list));
    CHECK_TEXT(list, expected);
}

static void devices_are_near_to_something(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    const nvtopo_cpuset *cpus = NULL;
    const char *text = NULL, *name = NULL;
    nvtopo_pair pair;
    size_t count = 99, nic = 99, gpu = 99, nics = 0;
    int64_t own = 99;

    CHECK_OK(nvtopo_topology_local_cpus(topology, 0, &cpus));
    check_cpus(cpus, "0-55,112-167");
    CHECK_OK(nvtopo_topology_local_mems(topology, 5, &text));
    CHECK_TEXT(text, "1");
    CHECK_OK(nvtopo_topology_nic_count(topology, &nics));
    CHECK_OK(nvtopo_topology_local_cpus(topology, 7 + nics, &cpus)); /* The last NIC. */
    CHECK(cpus != NULL);
    CHECK_OK(nvtopo_topology_nearest_nic_count(topology, 0, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_topology_nearest_nic(topology, 0, 0, &nic));
    CHECK_OK(nvtopo_topology_device_name(topology, nic, &name));
    CHECK_TEXT(name, "mlx5_0");
    CHECK_OK(nvtopo_topology_pair(topology, 0, nic, &pair));
    CHECK(pair.path == NVTOPO_PATH_PIX);
    CHECK_OK(nvtopo_topology_own_nic(topology, 0, &own));
    CHECK(own == (int64_t)nic);
    CHECK_OK(nvtopo_topology_find_gpu(topology, "GPU5", &gpu));
    CHECK(gpu == 5);
    CHECK_OK(nvtopo_topology_gpu_model(topology, 0, &text));
    CHECK(strstr(text, "H100") != NULL);

    CHECK_FAILS(nvtopo_topology_find_gpu(topology, "GPU99", &gpu), NVTOPO_STATUS_INVALID_REQUEST, "GPU99");
    CHECK_FAILS(nvtopo_topology_local_cpus(topology, 999, &cpus), NVTOPO_STATUS_INVALID_REQUEST, "device 999");
    CHECK_FAILS(nvtopo_topology_nearest_nic(topology, 0, 1, &nic), NVTOPO_STATUS_INVALID_REQUEST, "NIC 1");
    CHECK_NULL(nvtopo_topology_local_cpus(NULL, 0, &cpus), "topology");
    CHECK_NULL(nvtopo_topology_local_mems(topology, 0, NULL), "list");
    CHECK_NULL(nvtopo_topology_nearest_nic_count(NULL, 0, &count), "topology");
    CHECK_NULL(nvtopo_topology_nearest_nic(NULL, 0, 0, &nic), "topology");
    CHECK_NULL(nvtopo_topology_own_nic(topology, 0, NULL), "device");
    CHECK_NULL(nvtopo_topology_find_gpu(topology, NULL, &gpu), "name");
    CHECK_NULL(nvtopo_topology_gpu_model(NULL, 0, &text), "topology");
    nvtopo_topology_free(topology);
}

static void groups_and_nodes_are_told(void)
{
    nvtopo_topology *topology = preset("rtx-a6000-4-bridged"), *dgx = preset("dgx-h100");
    nvtopo_group group = {99, NULL};
    nvtopo_numa_node node;
    size_t count = 99, gpu = 99;

    CHECK_OK(nvtopo_topology_group_count(topology, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_topology_group(topology, 1, &group));
    CHECK(group.gpu_count == 2);
    CHECK_TEXT(group.shape, "fully connected");
    CHECK_OK(nvtopo_topology_group_gpu(topology, 1, 0, &gpu));
    CHECK(gpu == 2);
    CHECK_OK(nvtopo_topology_numa_node_count(dgx, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_topology_numa_node(dgx, 1, &node));
    CHECK(node.number == 1);
    CHECK(node.memory_known == (node.memory > 0));
    check_cpus(node.cpus, "56-111,168-223");

    CHECK_FAILS(nvtopo_topology_group(topology, 2, &group), NVTOPO_STATUS_INVALID_REQUEST, "NVLink group 2");
    CHECK_FAILS(nvtopo_topology_group_gpu(topology, 1, 2, &gpu), NVTOPO_STATUS_INVALID_REQUEST, "GPU 2");
    CHECK_FAILS(nvtopo_topology_numa_node(dgx, 2, &node), NVTOPO_STATUS_INVALID_REQUEST, "NUMA node 2");
    CHECK_NULL(nvtopo_topology_group_count(NULL, &count), "topology");
    CHECK_NULL(nvtopo_topology_group(topology, 0, NULL), "group");
    CHECK_NULL(nvtopo_topology_group_gpu(NULL, 0, 0, &gpu), "topology");
    CHECK_NULL(nvtopo_topology_numa_node_count(dgx, NULL), "count");
    CHECK_NULL(nvtopo_topology_numa_node(NULL, 0, &node), "topology");
    nvtopo_topology_free(dgx);
    nvtopo_topology_free(topology);
}

/* A text that tells nothing but the GPUs. */
static void what_is_not_known_is_null(void)
{
    const char *text = "\tGPU0\tGPU1\nGPU0\t X \tSYS\nGPU1\tSYS\t X \n", *told = "untouched", *code = NULL;
    nvtopo_topology *topology = NULL;
    const nvtopo_cpuset *cpus = NULL;
    size_t count = 99, notes = 0, found = 0, i;
    int64_t own = 99;

    CHECK_OK(nvtopo_topology_parse("topo.txt", text, strlen(text), &topology));
    CHECK_OK(nvtopo_topology_local_cpus(topology, 0, &cpus));
    CHECK(cpus == NULL);
    CHECK_OK(nvtopo_topology_local_mems(topology, 0, &told));
    CHECK(told == NULL);
    told = "untouched";
    CHECK_OK(nvtopo_topology_gpu_model(topology, 0, &told));
    CHECK(told == NULL);
    CHECK_OK(nvtopo_topology_nearest_nic_count(topology, 0, &count));
    CHECK(count == 0);
    CHECK_OK(nvtopo_topology_own_nic(topology, 0, &own));
    CHECK(own == -1);
    CHECK_OK(nvtopo_topology_numa_node_count(topology, &count));
    CHECK(count == 0);
    CHECK_OK(nvtopo_topology_note_count(topology, &notes));
    CHECK(notes > 0);
    for (i = 0; i < notes; i++) {
        CHECK_OK(nvtopo_topology_note(topology, i, &told));
        CHECK_OK(nvtopo_topology_note_code(topology, i, &code));
        CHECK(strlen(code) > 0);
        if (strcmp(code, "nvlinks-unknown") == 0) {
            found++;
            /* The kind stands before the sentence. */
            CHECK(strncmp(told, "unknown: ", strlen("unknown: ")) == 0);
        }
    }
    CHECK(found == 1);
    CHECK_FAILS(nvtopo_topology_note_code(topology, notes, &code), NVTOPO_STATUS_INVALID_REQUEST, "note");
    CHECK_NULL(nvtopo_topology_note_code(NULL, 0, &code), "topology");
    nvtopo_topology_free(topology);
}

static void cpus_are_shared_out(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_rules *rules = NULL;
    nvtopo_shares *shares = NULL;
    const nvtopo_cpuset *cpus = NULL;
    const char *text = NULL;
    size_t count = 99;

    CHECK_OK(nvtopo_topology_shares(topology, NULL, &shares));
    CHECK_OK(nvtopo_shares_cpus(shares, 0, &cpus));
    check_cpus(cpus, "0-13,112-125");
    CHECK_OK(nvtopo_shares_mems(shares, 7, &text));
    CHECK_TEXT(text, "1");
    CHECK_OK(nvtopo_shares_remark_count(shares, &count));
    CHECK_FAILS(nvtopo_shares_remark(shares, count, &text), NVTOPO_STATUS_INVALID_REQUEST, "remark");
    CHECK_OK(nvtopo_shares_to_json(shares, &text));
    CHECK(strstr(text, "\"cpus\": \"0-13,112-125\"") != NULL);
    CHECK_FAILS(nvtopo_shares_cpus(shares, 8, &cpus), NVTOPO_STATUS_INVALID_REQUEST, "GPU 8");
    nvtopo_shares_free(shares);
    shares = NULL;
    CHECK_OK(nvtopo_rules_new(&rules));
    CHECK_OK(nvtopo_rules_policy(rules, "node"));
    CHECK_OK(nvtopo_topology_shares(topology, rules, &shares));
    CHECK_OK(nvtopo_shares_cpus(shares, 5, &cpus));
    check_cpus(cpus, "56-111,168-223");
    nvtopo_shares_free(shares);
    nvtopo_shares_free(NULL);
    shares = NULL;
    CHECK_NULL(nvtopo_topology_shares(NULL, rules, &shares), "topology");
    CHECK_NULL(nvtopo_topology_shares(topology, rules, NULL), "shares");
    CHECK_NULL(nvtopo_shares_cpus(NULL, 0, &cpus), "shares");
    CHECK_NULL(nvtopo_shares_mems(NULL, 0, &text), "shares");
    CHECK_NULL(nvtopo_shares_remark_count(NULL, &count), "shares");
    CHECK_NULL(nvtopo_shares_remark(NULL, 0, &text), "shares");
    CHECK_NULL(nvtopo_shares_to_json(NULL, &text), "shares");
    CHECK(shares == NULL);
    nvtopo_rules_free(rules);
    nvtopo_topology_free(topology);
}

int main(void)
{
    devices_are_near_to_something();
    groups_and_nodes_are_told();
    what_is_not_known_is_null();
    cpus_are_shared_out();
    return 0;
}
