/* The face for C++: what it owns, answers, and goes through. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"

#include <nvtopo.hpp>

#include <algorithm>
#include <numeric>
#include <sched.h>
#include <string>

static void answers_are_values_or_errors()
{
    auto none = nvtopo::topology::open("preset:abacus");
    CHECK(!none && none.error().status == NVTOPO_STATUS_INVALID_REQUEST);
    CHECK(none.error().name() == "invalid-request");
    CHECK(none.error().message.find("abacus") != std::string::npos);
    auto bad = nvtopo::topology::parse("bad.json", "{\n  \"format\": oops\n}\n");
    CHECK(!bad && bad.error().line == 2 && bad.error().column > 1);
    CHECK(nvtopo::cpuset::parse("x").value_or(*nvtopo::cpuset::parse("7")).list() == "7");

    auto chosen = nvtopo::topology::open("preset:dgx-1-v100").and_then([](nvtopo::topology machine) {
        return machine.place(nvtopo::request(2).exclude("0,3"));
    });
    CHECK(chosen && chosen->gpus().size() == 2 && chosen->gpus()[0].index == 1);
}

static void a_machine_is_written_in_other_formats()
{
    auto machine = *nvtopo::topology::open("preset:dgx-a100");
    CHECK(*machine.write("json") == machine.json());
    CHECK(machine.write("libvirt-xml", "vm1", "GPU0")->find("<name>vm1</name>") != std::string::npos);
    CHECK(machine.diff(machine)->empty());
    CHECK(!machine.diff(*nvtopo::topology::open("preset:dgx-h100"))->empty());
    CHECK(machine.write("docx").error().status == NVTOPO_STATUS_INVALID_REQUEST);
}

static void sets_are_combined()
{
    auto a = *nvtopo::cpuset::parse("0-3"), b = *nvtopo::cpuset::of({2, 3, 4, 70});
    CHECK((a | b).list() == "0-4,70" && (a & b).list() == "2-3" && (a - b).list() == "0-1");
    CHECK(std::accumulate(b.begin(), b.end(), 0u) == 79);
    CHECK((a & b).view().is_subset_of(a) && a.view() != b.view() && a.contains(3) && a.size() == 4);
    CHECK(!nvtopo::cpuset::of({65536}));
    CHECK(nvtopo::cpuset::here()->size() >= 1);
}

static void a_request_remembers_what_was_wrong()
{
    auto machine = *nvtopo::topology::open("preset:dgx-h100");
    nvtopo::request wrong(2);
    wrong.objectives("speed").exclude("0");
    CHECK(wrong.failed() && !machine.place(wrong));
    CHECK(machine.place(wrong).error().message.find("speed") != std::string::npos);
    nvtopo::request all(8), copy = all;
    copy.exclude("0");
    CHECK(machine.place(all) && !machine.place(copy));
    all = copy;
    CHECK(machine.place(all).error().status == NVTOPO_STATUS_UNSATISFIABLE);
}

static void a_placement_is_gone_through()
{
    auto machine = *nvtopo::topology::open("preset:dgx-h100");
    auto placement = *machine.place(nvtopo::request(2).cpus_per_gpu(4));
    CHECK(placement.is_optimal() && !placement.why().empty() && placement.json().find("per_gpu") != std::string::npos);
    for (auto gpu : placement.gpus()) {
        CHECK(gpu.cpus.size() == 4 && gpu.mems && gpu.nic);
        CHECK(gpu.cpus.is_subset_of(machine.gpus()[gpu.device].local_cpus));
    }
    auto scores = placement.scores();
    CHECK(std::any_of(scores.begin(), scores.end(), [](const nvtopo_score &score) { return score.known; }));
    auto variables = placement.variables();
    CHECK(std::any_of(variables.begin(), variables.end(),
                      [](const auto &variable) { return variable.first == "CUDA_VISIBLE_DEVICES"; }));
    CHECK(machine.gpus().size() == 8 && machine.gpus()[3].index == 3 && machine.gpus()[0].model);
    CHECK(*machine.find_gpu("GPU3") == 3 && *machine.device_name(3) == "GPU3" && !machine.find_gpu("x"));
    CHECK(machine.pair(0, 1)->path == NVTOPO_PATH_NVL);
    for (auto note : machine.notes()) CHECK(!note.empty());
    for (auto remark : placement.remarks()) CHECK(!remark.empty());
}

static void jobs_come_and_go()
{
    auto machine = *nvtopo::topology::open("preset:dgx-1-v100");
    auto jobs = *nvtopo::allocator::of(machine);
    auto first = *jobs.place(nvtopo::request(2)), second = *jobs.place(nvtopo::request(2));
    CHECK(jobs.placed(second)->gpus()[0].index == 1 && jobs.jobs().size() == 2);
    CHECK(jobs.release(first) && !jobs.release(first));
    auto again = *nvtopo::allocator::restore(machine, *jobs.save());
    CHECK(again.jobs().size() == 1 && again.jobs()[0] == second);
    CHECK(again.what_if(nvtopo::request(2))->gpus()[0].index == 0);
    CHECK(!nvtopo::allocator::restore(machine, "{"));
}

static void a_binding_ends_with_its_scope()
{
    auto before = *nvtopo::cpuset::here();
    auto one = *nvtopo::cpuset::of({*before.begin()});
    auto machine = *nvtopo::topology::open("preset:gh200");
    CHECK(nvtopo::bind(machine, one).error().status == NVTOPO_STATUS_WRONG_MACHINE);
    CHECK(!nvtopo::bind(machine, one, "", nvtopo::bind_options().memory("some")));
    nvtopo::bind_options options;
    options.trust(true).memory("none");
    {
        auto binding = *nvtopo::bind(machine, one, "", options);
        CHECK(nvtopo::cpuset::here()->view() == one && binding.after() == one && binding.before() == before);
        for (auto warning : binding.warnings()) CHECK(!warning.empty());
    }
    CHECK(nvtopo::cpuset::here()->view() == before);
    std::move(*nvtopo::bind(machine, one, "", options)).keep();
    CHECK(nvtopo::cpuset::here()->view() == one);
}

int main()
{
    answers_are_values_or_errors();
    a_machine_is_written_in_other_formats();
    sets_are_combined();
    a_request_remembers_what_was_wrong();
    a_placement_is_gone_through();
    jobs_come_and_go();
    a_binding_ends_with_its_scope();
    return 0;
}
