/* What the variables of a process show it. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"

#include <stdlib.h>

static nvtopo_visible *visible_by(const nvtopo_topology *topology, const char *first, const char *second)
{
    const char *variables[2];
    nvtopo_visible *visible = NULL;
    variables[0] = first;
    variables[1] = second;
    CHECK_OK(nvtopo_topology_visible_of(topology, variables, second != NULL ? 2 : 1, &visible));
    return visible;
}

static void check_devices(const nvtopo_visible *visible, const uint32_t *gpus, size_t count)
{
    const char *instance = "not yet";
    uint32_t index = 99;
    size_t has = 99, i;
    bool is_instance = true;
    CHECK_OK(nvtopo_visible_device_count(visible, &has));
    CHECK(has == count);
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_visible_device_gpu(visible, i, &index));
        CHECK(index == gpus[i]);
        CHECK_OK(nvtopo_visible_device_instance(visible, i, &instance));
        CHECK(instance == NULL);
        CHECK_OK(nvtopo_visible_device_is_instance(visible, i, &is_instance));
        CHECK(!is_instance);
    }
    CHECK_FAILS(nvtopo_visible_device_gpu(visible, count, &index), NVTOPO_STATUS_INVALID_REQUEST, "device");
}

static void a_list_is_read_as_cuda_reads_it(void)
{
    static const uint32_t two[] = {3, 1}, one[] = {5}, all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    nvtopo_topology *topology = NULL;
    nvtopo_visible *visible = NULL;
    nvtopo_order_basis order = NVTOPO_ORDER_BASIS_UNKNOWN;
    const char *text = NULL;
    size_t count = 99;
    bool unresolved = true;

    CHECK_OK(nvtopo_topology_preset("dgx-h100", &topology));
    visible = visible_by(topology, "CUDA_VISIBLE_DEVICES=3,1,-1,2", NULL);
    check_devices(visible, two, 2);
    CHECK_OK(nvtopo_visible_order(visible, &order));
    CHECK(order == NVTOPO_ORDER_BASIS_KNOWN);
    CHECK_OK(nvtopo_visible_is_unresolved(visible, &unresolved));
    CHECK(!unresolved);
    CHECK_OK(nvtopo_visible_remark_count(visible, &count));
    CHECK(count == 0);
    nvtopo_visible_free(visible);

    /* Of two the first counts, as for getenv. */
    visible = visible_by(topology, "CUDA_VISIBLE_DEVICES=5", "CUDA_VISIBLE_DEVICES=6");
    check_devices(visible, one, 1);
    nvtopo_visible_free(visible);
    visible = visible_by(topology, "CUDA_VISIBLE_DEVICES=", NULL);
    check_devices(visible, NULL, 0);
    CHECK_OK(nvtopo_visible_remark(visible, 0, &text));
    CHECK(strstr(text, "hides all GPUs") != NULL);
    CHECK_FAILS(nvtopo_visible_remark(visible, 1, &text), NVTOPO_STATUS_INVALID_REQUEST, "remark");
    nvtopo_visible_free(visible);
    visible = visible_by(topology, "CUDA_DEVICE_ORDER=PCI_BUS_ID", NULL);
    check_devices(visible, all, 8);
    nvtopo_visible_free(visible);

    CHECK(setenv("CUDA_VISIBLE_DEVICES", "5", 1) == 0);
    CHECK_OK(nvtopo_topology_visible(topology, &visible));
    CHECK(unsetenv("CUDA_VISIBLE_DEVICES") == 0);
    check_devices(visible, one, 1);
    nvtopo_visible_free(visible);
    CHECK_OK(nvtopo_topology_visible_of(topology, NULL, 0, &visible));
    check_devices(visible, all, 8);
    nvtopo_visible_free(visible);
    nvtopo_visible_free(NULL);
    nvtopo_topology_free(topology);
}

static const char MIXED[] =
    "{\"format\":\"nvtopo-topology\",\"version\":1,\"topology\":{\"source\":\"nvml\",\"nvlink_known\":true,\"nodes\":["
    "{\"machine\":{}},{\"gpu\":{\"parent\":0,\"index\":0,\"model\":\"NVIDIA H100\"}},"
    "{\"gpu_instance\":{\"parent\":1,\"uuid\":\"MIG-c6d4f1ef\"}},"
    "{\"gpu\":{\"parent\":0,\"index\":1,\"model\":\"NVIDIA A30\"}}]}}";

static void what_nobody_can_tell_is_said(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_visible *visible = NULL;
    nvtopo_order_basis order = NVTOPO_ORDER_BASIS_KNOWN;
    const char *text = NULL;
    bool unresolved = false, is_instance = false;
    uint32_t index = 99;

    CHECK_OK(nvtopo_topology_parse("mixed.json", MIXED, strlen(MIXED), &topology));
    CHECK_OK(nvtopo_topology_visible_of(topology, NULL, 0, &visible));
    CHECK_OK(nvtopo_visible_order(visible, &order));
    CHECK(order == NVTOPO_ORDER_BASIS_UNKNOWN);
    nvtopo_visible_free(visible);
    visible = visible_by(topology, "CUDA_VISIBLE_DEVICES=MIG-c6d4f1ef", NULL);
    CHECK_OK(nvtopo_visible_device_gpu(visible, 0, &index));
    CHECK(index == 0);
    CHECK_OK(nvtopo_visible_device_instance(visible, 0, &text));
    CHECK_TEXT(text, "MIG-c6d4f1ef");
    CHECK_OK(nvtopo_visible_device_is_instance(visible, 0, &is_instance));
    CHECK(is_instance);
    CHECK_NULL(nvtopo_visible_device_is_instance(NULL, 0, &is_instance), "visible");
    nvtopo_visible_free(visible);
    visible = visible_by(topology, "CUDA_VISIBLE_DEVICES=GPU-12345678", NULL);
    CHECK_OK(nvtopo_visible_is_unresolved(visible, &unresolved));
    CHECK(unresolved);
    nvtopo_visible_free(visible);
    nvtopo_topology_free(topology);
}

static void misuse_is_an_error(void)
{
    static const char *const wrong[] = {"CUDA_VISIBLE_DEVICES"};
    nvtopo_topology *topology = NULL;
    nvtopo_visible *visible = NULL;
    nvtopo_order_basis order = NVTOPO_ORDER_BASIS_ASSUMED;
    const char *text = NULL;
    bool unresolved = true;
    uint32_t index = 7;
    size_t count = 7;

    CHECK_OK(nvtopo_topology_preset("gh200", &topology));
    CHECK_FAILS(nvtopo_topology_visible_of(topology, wrong, 1, &visible), NVTOPO_STATUS_INVALID_REQUEST, "NAME=VALUE");
    CHECK_NULL(nvtopo_topology_visible_of(topology, NULL, 1, &visible), "variables");
    CHECK_NULL(nvtopo_topology_visible(NULL, &visible), "topology");
    CHECK_NULL(nvtopo_topology_visible(topology, NULL), "visible");
    CHECK_NULL(nvtopo_visible_device_count(NULL, &count), "visible");
    CHECK_NULL(nvtopo_visible_device_gpu(NULL, 0, &index), "visible");
    CHECK_NULL(nvtopo_visible_device_instance(NULL, 0, &text), "visible");
    CHECK_NULL(nvtopo_visible_order(NULL, &order), "visible");
    CHECK_NULL(nvtopo_visible_is_unresolved(NULL, &unresolved), "visible");
    CHECK_NULL(nvtopo_visible_remark_count(NULL, &count), "visible");
    CHECK_NULL(nvtopo_visible_remark(NULL, 0, &text), "visible");
    CHECK(visible == NULL && text == NULL && unresolved && index == 7 && count == 7 && order == NVTOPO_ORDER_BASIS_ASSUMED);
    nvtopo_topology_free(topology);
}

int main(void)
{
    CHECK(unsetenv("CUDA_VISIBLE_DEVICES") == 0 && unsetenv("CUDA_DEVICE_ORDER") == 0);
    a_list_is_read_as_cuda_reads_it();
    what_nobody_can_tell_is_said();
    misuse_is_an_error();
    return 0;
}
