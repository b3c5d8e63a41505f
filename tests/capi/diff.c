/* Differences between machines. */

#include "check.h"

static void a_machine_does_not_differ_from_itself(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_diff *diff = NULL;
    size_t count = 7;
    const char *json = NULL, *text = NULL;
    CHECK_OK(nvtopo_topology_open("preset:dgx-1-v100", &topology));
    CHECK_OK(nvtopo_topology_diff(topology, topology, false, &diff));
    CHECK_OK(nvtopo_diff_change_count(diff, &count));
    CHECK(count == 0);
    CHECK_OK(nvtopo_diff_to_json(diff, &json));
    CHECK(strstr(json, "\"equal\": true") != NULL);
    CHECK_FAILS(nvtopo_diff_change(diff, 0, &text), NVTOPO_STATUS_INVALID_REQUEST, "change");
    nvtopo_diff_free(diff);
    nvtopo_topology_free(topology);
}

static void lost_links_are_told(void)
{
    static const char *const matrices[] = {
        "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n",
        "\tGPU0\tGPU1\nGPU0\t X \tNV2\nGPU1\tNV2\t X \n",
    };
    nvtopo_topology *machines[2] = {NULL, NULL};
    nvtopo_diff *diff = NULL;
    const char *text = NULL;
    for (size_t i = 0; i < 2; i++)
        CHECK_OK(nvtopo_topology_parse("matrix", matrices[i], strlen(matrices[i]), &machines[i]));
    for (int structure = 0; structure < 2; structure++) {
        size_t count = 0;
        bool found = false;
        CHECK_OK(nvtopo_topology_diff(machines[0], machines[1], structure != 0, &diff));
        CHECK_OK(nvtopo_diff_change_count(diff, &count));
        for (size_t i = 0; i < count; i++) {
            CHECK_OK(nvtopo_diff_change(diff, i, &text));
            found = found || strcmp(text, "GPU0 to GPU1: NVLinks 4 -> 2") == 0;
        }
        CHECK(found);
        nvtopo_diff_free(diff);
    }
    diff = NULL;
    CHECK_NULL(nvtopo_topology_diff(NULL, machines[1], false, &diff), "before");
    CHECK_NULL(nvtopo_topology_diff(machines[0], NULL, false, &diff), "after");
    CHECK_NULL(nvtopo_topology_diff(machines[0], machines[1], false, NULL), "diff");
    CHECK(diff == NULL);
    size_t count = 0;
    CHECK_NULL(nvtopo_diff_change_count(NULL, &count), "diff");
    CHECK_NULL(nvtopo_diff_change(NULL, 0, &text), "diff");
    CHECK_NULL(nvtopo_diff_to_json(NULL, &text), "diff");
    nvtopo_diff_free(NULL);
    for (size_t i = 0; i < 2; i++) nvtopo_topology_free(machines[i]);
}

int main(void)
{
    a_machine_does_not_differ_from_itself();
    lost_links_are_told();
    return 0;
}
