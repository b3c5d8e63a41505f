/*
 * nvtopo for C++17: the C library behind types that free themselves, answers without exceptions, and ranges. Header only;
 * link with -lnvtopo.
 *
 *     #include <nvtopo.hpp>
 *     #include <iostream>
 *
 *     int main() {
 *         auto topology = nvtopo::topology::open("preset:dgx-h100");
 *         if (!topology) { std::cerr << topology.error().message << '\n'; return 1; }
 *         auto placement = topology->place(nvtopo::request(2));
 *         if (!placement) { std::cerr << placement.error().message << '\n'; return 1; }
 *         for (auto gpu : placement->gpus())
 *             std::cout << "GPU" << gpu.index << ": CPUs " << gpu.cpus.list() << '\n';
 *         std::cout << placement->why() << '\n';
 *     }
 *
 * A result holds a value or an error, as std::expected does. The functions that build a request or rules remember the first
 * error instead, and what uses them tells it. Texts are std::string_view: they live as long as the object that gave them.
 * What nvtopo.h says of threads, fork() and setenv() holds here too. get() is the handle of C, for what is not here.
 */

#ifndef NVTOPO_HPP
#define NVTOPO_HPP

#include <nvtopo.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace nvtopo {

/* Why a call failed. */
struct error {
    nvtopo_status status = NVTOPO_STATUS_OK;
    std::string message;
    /* The place in the input, from 1 on; 0: none. */
    std::size_t line = 0;
    std::size_t column = 0;

    /* The name of the status, such as "invalid-request". */
    std::string_view name() const noexcept { return nvtopo_status_name(status); }

    /* The error of the last call that failed on this thread. */
    static error last(nvtopo_status status)
    {
        return {status, nvtopo_last_error_message(), nvtopo_last_error_line(), nvtopo_last_error_column()};
    }
};

/* A value or an error. */
template <class T>
class [[nodiscard]] result {
public:
    result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
    result(nvtopo::error why) : held_(std::in_place_index<1>, std::move(why)) {}

    explicit operator bool() const noexcept { return held_.index() == 0; }
    bool has_value() const noexcept { return held_.index() == 0; }

    /* Without a value, undefined as of std::expected. */
    T &operator*() & noexcept { return *std::get_if<0>(&held_); }
    const T &operator*() const & noexcept { return *std::get_if<0>(&held_); }
    T &&operator*() && noexcept { return std::move(*std::get_if<0>(&held_)); }
    T *operator->() noexcept { return std::get_if<0>(&held_); }
    const T *operator->() const noexcept { return std::get_if<0>(&held_); }

    const nvtopo::error &error() const noexcept { return *std::get_if<1>(&held_); }

    template <class U>
    T value_or(U &&other) &&
    {
        return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(other));
    }

    /* What `next` makes of the value, which is a result too; or the error. */
    template <class F>
    auto and_then(F &&next) && -> decltype(next(std::declval<T &&>()))
    {
        if (has_value()) return std::forward<F>(next)(std::move(**this));
        return this->error();
    }

private:
    std::variant<T, nvtopo::error> held_;
};

/* What answers nothing, or the error. */
using status = result<std::monostate>;

namespace detail {

template <auto Free>
struct deleter {
    template <class T>
    void operator()(T *handle) const noexcept
    {
        Free(handle);
    }
};

template <class T, auto Free>
using owned = std::unique_ptr<T, deleter<Free>>;

/* The output of a call whose last argument it is. */
template <class T, class F, class... Args>
result<T> ask(F function, Args... args)
{
    T value{};
    nvtopo_status status = function(args..., &value);
    if (status != NVTOPO_STATUS_OK) return error::last(status);
    return value;
}

/* As `ask`, where the arguments are known to be right. */
template <class T, class F, class... Args>
T known(F function, Args... args)
{
    T value{};
    if (function(args..., &value) != NVTOPO_STATUS_OK) return T{};
    return value;
}

template <class F, class... Args>
nvtopo::status done(F function, Args... args)
{
    nvtopo_status status = function(args...);
    if (status != NVTOPO_STATUS_OK) return error::last(status);
    return std::monostate{};
}

inline std::string_view text(const char *text) noexcept { return text ? std::string_view(text) : std::string_view(); }

inline std::optional<std::string_view> maybe(const char *text) noexcept
{
    return text ? std::optional<std::string_view>(text) : std::nullopt;
}

} // namespace detail

/* Numbered things, each made when it is looked at. It must not outlive what it was asked of. */
template <class Make>
class range {
public:
    using value_type = std::invoke_result_t<Make, std::size_t>;

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = range::value_type;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = value_type;

        iterator() = default;
        iterator(const range *of, std::size_t at) : of_(of), at_(at) {}
        reference operator*() const { return (*of_)[at_]; }
        iterator &operator++() noexcept
        {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept
        {
            iterator before = *this;
            ++at_;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.at_ == b.at_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.at_ != b.at_; }

    private:
        const range *of_ = nullptr;
        std::size_t at_ = 0;
    };

    range(std::size_t count, Make make) : count_(count), make_(std::move(make)) {}
    iterator begin() const noexcept { return {this, 0}; }
    iterator end() const noexcept { return {this, count_}; }
    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    value_type operator[](std::size_t i) const { return make_(i); }

private:
    std::size_t count_;
    Make make_;
};

/* A set of CPUs that something else holds. */
class cpuset_view {
public:
    cpuset_view(const nvtopo_cpuset *handle = nullptr) noexcept : handle_(handle) {}

    const nvtopo_cpuset *get() const noexcept { return handle_; }
    /* False where it is not known. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    std::string_view list() const { return detail::text(detail::known<const char *>(nvtopo_cpuset_to_list, handle_)); }
    std::string_view mask() const { return detail::text(detail::known<const char *>(nvtopo_cpuset_to_mask, handle_)); }
    std::size_t size() const { return detail::known<std::size_t>(nvtopo_cpuset_count, handle_); }
    bool empty() const { return size() == 0; }
    bool contains(std::uint32_t cpu) const { return detail::known<bool>(nvtopo_cpuset_contains, handle_, cpu); }
    bool is_subset_of(cpuset_view other) const
    {
        return detail::known<bool>(nvtopo_cpuset_is_subset, handle_, other.handle_);
    }
    friend bool operator==(cpuset_view a, cpuset_view b)
    {
        return detail::known<bool>(nvtopo_cpuset_is_equal, a.handle_, b.handle_);
    }
    friend bool operator!=(cpuset_view a, cpuset_view b) { return !(a == b); }

    /* The CPUs in increasing order. */
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::uint32_t;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = std::uint32_t;

        iterator() = default;
        explicit iterator(const nvtopo_cpuset *of) : of_(of) { ++*this; }
        std::uint32_t operator*() const noexcept { return static_cast<std::uint32_t>(at_); }
        iterator &operator++()
        {
            std::int64_t next = -1;
            at_ = nvtopo_cpuset_next(of_, at_, &next) == NVTOPO_STATUS_OK ? next : -1;
            return *this;
        }
        iterator operator++(int)
        {
            iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.at_ == b.at_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.at_ != b.at_; }

    private:
        const nvtopo_cpuset *of_ = nullptr;
        std::int64_t at_ = -1;
    };
    iterator begin() const { return iterator(handle_); }
    iterator end() const noexcept { return {}; }

private:
    const nvtopo_cpuset *handle_;
};

/* A set of CPUs. */
class cpuset {
public:
    static result<cpuset> parse(const std::string &list) { return made(nvtopo_cpuset_parse, list.c_str()); }
    static result<cpuset> of(const std::vector<std::uint32_t> &cpus)
    {
        return made(nvtopo_cpuset_new, cpus.data(), cpus.size());
    }
    static result<cpuset> here() { return made(nvtopo_cpuset_here); }

    operator cpuset_view() const noexcept { return handle_.get(); }
    cpuset_view view() const noexcept { return handle_.get(); }
    const nvtopo_cpuset *get() const noexcept { return handle_.get(); }
    std::string_view list() const { return view().list(); }
    std::size_t size() const { return view().size(); }
    bool contains(std::uint32_t cpu) const { return view().contains(cpu); }
    cpuset_view::iterator begin() const { return view().begin(); }
    cpuset_view::iterator end() const noexcept { return {}; }

    friend cpuset operator|(cpuset_view a, cpuset_view b);
    friend cpuset operator&(cpuset_view a, cpuset_view b);
    friend cpuset operator-(cpuset_view a, cpuset_view b);

private:
    explicit cpuset(nvtopo_cpuset *handle) : handle_(handle) {}

    template <class F, class... Args>
    static result<cpuset> made(F function, Args... args)
    {
        auto handle = detail::ask<nvtopo_cpuset *>(function, args...);
        if (!handle) return handle.error();
        return cpuset(*handle);
    }

    template <class F>
    static cpuset combined(F function, cpuset_view a, cpuset_view b)
    {
        return cpuset(detail::known<nvtopo_cpuset *>(function, a.get(), b.get()));
    }

    detail::owned<nvtopo_cpuset, nvtopo_cpuset_free> handle_;
};

inline cpuset operator|(cpuset_view a, cpuset_view b) { return cpuset::combined(nvtopo_cpuset_union, a, b); }
inline cpuset operator&(cpuset_view a, cpuset_view b) { return cpuset::combined(nvtopo_cpuset_intersection, a, b); }
inline cpuset operator-(cpuset_view a, cpuset_view b) { return cpuset::combined(nvtopo_cpuset_difference, a, b); }

/* A request for GPUs. It remembers the first thing that was wrong, which `topology::place` tells. */
class request {
public:
    explicit request(std::size_t gpus) { note(nvtopo_request_new(gpus, out())); }
    request(request &&) = default;
    request &operator=(request &&) = default;
    request(const request &other) : failed_(other.failed_)
    {
        if (!failed_) note(nvtopo_request_clone(other.get(), out()));
    }
    request &operator=(const request &other) { return *this = request(other); }

    /* Names, separated by commas, as nvtopo_request_only_named() reads them. */
    request &only(const std::string &gpus) { return note(nvtopo_request_only_named(get(), gpus.c_str())); }
    request &exclude(const std::string &gpus) { return note(nvtopo_request_exclude_named(get(), gpus.c_str())); }
    request &include(const std::string &gpus) { return note(nvtopo_request_include_named(get(), gpus.c_str())); }
    request &objectives(const std::string &names) { return note(nvtopo_request_objectives(get(), names.c_str())); }
    request &require(const std::string &words) { return note(nvtopo_request_require(get(), words.c_str())); }
    request &prefer(const std::string &words) { return note(nvtopo_request_prefer(get(), words.c_str())); }
    request &mix(const std::string &sizes) { return note(nvtopo_request_mix(get(), sizes.c_str())); }
    request &cpus_per_gpu(std::size_t cpus) { return note(nvtopo_request_cpus_per_gpu(get(), cpus)); }
    request &memory_per_gpu(std::uint64_t bytes) { return note(nvtopo_request_memory_per_gpu(get(), bytes)); }
    request &allow_cpus(cpuset_view cpus) { return note(nvtopo_request_allow_cpus(get(), cpus.get())); }
    request &reserve_cpus(cpuset_view cpus) { return note(nvtopo_request_reserve_cpus(get(), cpus.get())); }
    request &only_free() { return note(nvtopo_request_only_free(get())); }

    nvtopo_request *get() const noexcept { return handle_.get(); }
    const std::optional<error> &failed() const noexcept { return failed_; }

private:
    /* Where C writes the handle, which is taken over by `note`. */
    nvtopo_request **out() noexcept { return &made_; }

    request &note(nvtopo_status status)
    {
        if (made_) handle_.reset(std::exchange(made_, nullptr));
        if (status != NVTOPO_STATUS_OK && !failed_) failed_ = error::last(status);
        return *this;
    }

    nvtopo_request *made_ = nullptr;
    detail::owned<nvtopo_request, nvtopo_request_free> handle_;
    std::optional<error> failed_;
};

/* One GPU of a placement. */
struct placed_gpu {
    std::uint32_t index;
    /* Its position among the devices of the topology. */
    std::size_t device;
    cpuset_view cpus;
    /* The NUMA nodes that it takes memory from; nullopt: not known. */
    std::optional<std::string_view> mems;
    /* The NIC that it should use; nullopt: none is known. */
    std::optional<std::string_view> nic;
};

/* The GPUs for a job. */
class placement {
public:
    explicit placement(nvtopo_placement *handle) : handle_(handle) {}

    auto gpus() const
    {
        const nvtopo_placement *own = get();
        auto make = [own](std::size_t i) {
            return placed_gpu{detail::known<std::uint32_t>(nvtopo_placement_gpu, own, i),
                              detail::known<std::size_t>(nvtopo_placement_device, own, i),
                              detail::known<const nvtopo_cpuset *>(nvtopo_placement_cpus, own, i),
                              detail::maybe(detail::known<const char *>(nvtopo_placement_mems, own, i)),
                              detail::maybe(detail::known<const char *>(nvtopo_placement_own_nic, own, i))};
        };
        return range(detail::known<std::size_t>(nvtopo_placement_gpu_count, own), make);
    }
    auto scores() const
    {
        const nvtopo_placement *own = get();
        auto make = [own](std::size_t i) { return detail::known<nvtopo_score>(nvtopo_placement_score, own, i); };
        return range(detail::known<std::size_t>(nvtopo_placement_score_count, own), make);
    }
    auto remarks() const
    {
        const nvtopo_placement *own = get();
        auto make = [own](std::size_t i) {
            return detail::text(detail::known<const char *>(nvtopo_placement_remark, own, i));
        };
        return range(detail::known<std::size_t>(nvtopo_placement_remark_count, own), make);
    }
    /* The variables that show a process these GPUs. */
    auto variables() const
    {
        const nvtopo_placement *own = get();
        auto make = [own](std::size_t i) {
            auto variable = detail::known<nvtopo_variable>(nvtopo_placement_variable, own, i);
            return std::pair(detail::text(variable.name), detail::text(variable.value));
        };
        return range(detail::known<std::size_t>(nvtopo_placement_variable_count, own), make);
    }
    bool is_optimal() const { return detail::known<bool>(nvtopo_placement_is_optimal, get()); }
    std::string_view why() const { return detail::text(detail::known<const char *>(nvtopo_placement_why, get())); }
    std::string_view json() const { return detail::text(detail::known<const char *>(nvtopo_placement_to_json, get())); }
    const nvtopo_placement *get() const noexcept { return handle_.get(); }

private:
    detail::owned<nvtopo_placement, nvtopo_placement_free> handle_;
};

/* One GPU of a topology. */
struct gpu {
    std::size_t device;
    std::uint32_t index;
    std::optional<std::string_view> model;
    std::optional<std::string_view> uuid;
    std::optional<std::string_view> address;
    /* False where they are not known. */
    cpuset_view local_cpus;
};

/* A machine. */
class topology {
public:
    static result<topology> open(const std::string &source) { return made(nvtopo_topology_open, source.c_str()); }
    static result<topology> discover() { return made(nvtopo_topology_discover); }
    static result<topology> parse(const std::string &name, std::string_view bytes)
    {
        return made(nvtopo_topology_parse, name.c_str(), static_cast<const void *>(bytes.data()), bytes.size());
    }

    result<placement> place(const request &request) const
    {
        if (request.failed()) return *request.failed();
        auto handle = detail::ask<nvtopo_placement *>(nvtopo_topology_place, get(), request.get());
        if (!handle) return handle.error();
        return placement(*handle);
    }
    auto gpus() const
    {
        const nvtopo_topology *own = get();
        auto make = [own](std::size_t i) {
            return gpu{i,
                       detail::known<std::uint32_t>(nvtopo_topology_gpu_index, own, i),
                       detail::maybe(detail::known<const char *>(nvtopo_topology_gpu_model, own, i)),
                       detail::maybe(detail::known<const char *>(nvtopo_topology_gpu_uuid, own, i)),
                       detail::maybe(detail::known<const char *>(nvtopo_topology_gpu_address, own, i)),
                       detail::known<const nvtopo_cpuset *>(nvtopo_topology_local_cpus, own, i)};
        };
        return range(detail::known<std::size_t>(nvtopo_topology_gpu_count, own), make);
    }
    auto notes() const
    {
        const nvtopo_topology *own = get();
        auto make = [own](std::size_t i) {
            return detail::text(detail::known<const char *>(nvtopo_topology_note, own, i));
        };
        return range(detail::known<std::size_t>(nvtopo_topology_note_count, own), make);
    }
    /* The position of the GPU that a name stands for. */
    result<std::size_t> find_gpu(const std::string &name) const
    {
        return detail::ask<std::size_t>(nvtopo_topology_find_gpu, get(), name.c_str());
    }
    /* The name of a device by its position. */
    result<std::string_view> device_name(std::size_t device) const
    {
        auto name = detail::ask<const char *>(nvtopo_topology_device_name, get(), device);
        if (!name) return name.error();
        return detail::text(*name);
    }
    result<nvtopo_pair> pair(std::size_t a, std::size_t b) const
    {
        return detail::ask<nvtopo_pair>(nvtopo_topology_pair, get(), a, b);
    }
    std::string_view json() const { return detail::text(detail::known<const char *>(nvtopo_topology_to_json, get())); }
    /* What differs in another machine, or in the same later, one sentence each; with `structure`, in what they are built of. */
    result<std::vector<std::string>> diff(const topology &after, bool structure = false) const
    {
        auto handle = detail::ask<nvtopo_diff *>(nvtopo_topology_diff, get(), after.get(), structure);
        if (!handle) return handle.error();
        detail::owned<nvtopo_diff, nvtopo_diff_free> diff(*handle);
        std::vector<std::string> changes(detail::known<std::size_t>(nvtopo_diff_change_count, diff.get()));
        for (std::size_t i = 0; i < changes.size(); i++)
            changes[i] = detail::text(detail::known<const char *>(nvtopo_diff_change, diff.get(), i));
        return changes;
    }
    /* The machine in the format of another program; the list "writers" names the formats. `node` is its name in a cluster;
     * with `devices`, a list of what a virtual machine gets, every format describes that guest. */
    result<std::string> write(const std::string &format, const std::optional<std::string> &node = std::nullopt,
                              const std::optional<std::string> &devices = std::nullopt) const
    {
        auto handle = detail::ask<nvtopo_written *>(nvtopo_topology_write_with, get(), format.c_str(),
                                                    node ? node->c_str() : nullptr,
                                                    devices ? devices->c_str() : nullptr);
        if (!handle) return handle.error();
        detail::owned<nvtopo_written, nvtopo_written_free> written(*handle);
        return std::string(detail::text(detail::known<const char *>(nvtopo_written_text, written.get())));
    }
    /* The machine as "svg" or "html", with what was chosen of it where a placement is given. */
    result<std::string> draw(const std::string &format, const nvtopo_placement *placement = nullptr) const
    {
        auto handle = detail::ask<nvtopo_written *>(nvtopo_topology_draw, get(), placement, format.c_str());
        if (!handle) return handle.error();
        detail::owned<nvtopo_written, nvtopo_written_free> written(*handle);
        return std::string(detail::text(detail::known<const char *>(nvtopo_written_text, written.get())));
    }
    const nvtopo_topology *get() const noexcept { return handle_.get(); }

private:
    explicit topology(nvtopo_topology *handle) : handle_(handle) {}

    template <class F, class... Args>
    static result<topology> made(F function, Args... args)
    {
        auto handle = detail::ask<nvtopo_topology *>(function, args...);
        if (!handle) return handle.error();
        return topology(*handle);
    }

    detail::owned<nvtopo_topology, nvtopo_topology_free> handle_;
};

/* A machine and the jobs on it. */
class allocator {
public:
    static result<allocator> of(const topology &machine) { return made(nvtopo_allocator_new, machine.get()); }
    /* With the jobs that `save` wrote. */
    static result<allocator> restore(const topology &machine, std::string_view saved)
    {
        return made(nvtopo_allocator_restore, machine.get(), static_cast<const void *>(saved.data()), saved.size());
    }

    /* The number of the job. */
    result<std::uint64_t> place(const request &request)
    {
        if (request.failed()) return *request.failed();
        return detail::ask<std::uint64_t>(nvtopo_allocator_place, get(), request.get());
    }
    status release(std::uint64_t job) { return detail::done(nvtopo_allocator_release, get(), job); }
    result<placement> placed(std::uint64_t job) const
    {
        auto handle = detail::ask<nvtopo_placement *>(nvtopo_allocator_placement, get(), job);
        if (!handle) return handle.error();
        return placement(*handle);
    }
    result<placement> what_if(const request &request) const
    {
        if (request.failed()) return *request.failed();
        auto handle = detail::ask<nvtopo_placement *>(nvtopo_allocator_what_if, get(), request.get());
        if (!handle) return handle.error();
        return placement(*handle);
    }
    auto jobs() const
    {
        const nvtopo_allocator *own = get();
        auto make = [own](std::size_t i) { return detail::known<std::uint64_t>(nvtopo_allocator_job, own, i); };
        return range(detail::known<std::size_t>(nvtopo_allocator_job_count, own), make);
    }
    result<std::string> save()
    {
        auto text = detail::ask<const char *>(nvtopo_allocator_save, get());
        if (!text) return text.error();
        return std::string(*text);
    }
    nvtopo_allocator *get() const noexcept { return handle_.get(); }

private:
    explicit allocator(nvtopo_allocator *handle) : handle_(handle) {}

    template <class F, class... Args>
    static result<allocator> made(F function, Args... args)
    {
        auto handle = detail::ask<nvtopo_allocator *>(function, args...);
        if (!handle) return handle.error();
        return allocator(*handle);
    }

    detail::owned<nvtopo_allocator, nvtopo_allocator_free> handle_;
};

/* How a process is bound. It remembers the first thing that was wrong, which `bind` tells. */
class bind_options {
public:
    bind_options() { note(nvtopo_bind_options_new(&made_)); }

    bind_options &memory(const std::string &word) { return note(nvtopo_bind_options_memory(get(), word.c_str())); }
    bind_options &threads(const std::string &word) { return note(nvtopo_bind_options_threads(get(), word.c_str())); }
    bind_options &trust(bool trust) { return note(nvtopo_bind_options_trust(get(), trust)); }
    nvtopo_bind_options *get() const noexcept { return handle_.get(); }
    const std::optional<error> &failed() const noexcept { return failed_; }

private:
    bind_options &note(nvtopo_status status)
    {
        if (made_) handle_.reset(std::exchange(made_, nullptr));
        if (status != NVTOPO_STATUS_OK && !failed_) failed_ = error::last(status);
        return *this;
    }

    nvtopo_bind_options *made_ = nullptr;
    detail::owned<nvtopo_bind_options, nvtopo_bind_options_free> handle_;
    std::optional<error> failed_;
};

/* A binding that lasts as long as this lives, in the thread that made it; `keep` makes it last. */
class binding {
public:
    binding(binding &&) = default;
    // The binding that was there would be undone after the other was made, and that would undo both.
    binding &operator=(binding &&) = delete;
    ~binding() { undo(); }

    cpuset_view before() const { return detail::known<const nvtopo_cpuset *>(nvtopo_binding_before, get()); }
    cpuset_view after() const { return detail::known<const nvtopo_cpuset *>(nvtopo_binding_after, get()); }
    auto warnings() const
    {
        const nvtopo_binding *own = get();
        auto make = [own](std::size_t i) {
            return detail::text(detail::known<const char *>(nvtopo_binding_warning, own, i));
        };
        return range(detail::known<std::size_t>(nvtopo_binding_warning_count, own), make);
    }
    status restore() { return detail::done(nvtopo_binding_restore, get()); }
    void keep() && { handle_.reset(); }
    nvtopo_binding *get() const noexcept { return handle_.get(); }

    static result<binding> made(result<nvtopo_binding *> handle)
    {
        if (!handle) return handle.error();
        return binding(*handle);
    }

private:
    explicit binding(nvtopo_binding *handle) : handle_(handle) {}

    void undo() noexcept
    {
        // In another thread, or where the kernel refuses, the process stays bound.
        if (handle_ && nvtopo_binding_restore(handle_.get()) != NVTOPO_STATUS_OK) return;
    }

    detail::owned<nvtopo_binding, nvtopo_binding_free> handle_;
};

/* Binds this process beside a GPU of a placement: local rank n beside the n-th; -1: beside all. */
inline result<binding> bind(const placement &placement, std::int64_t local_rank, const bind_options &options = {})
{
    if (options.failed()) return *options.failed();
    return binding::made(
        detail::ask<nvtopo_binding *>(nvtopo_placement_bind, placement.get(), local_rank, options.get()));
}

/* Binds this process to CPUs, with memory from NUMA nodes; "": as before. */
inline result<binding> bind(const topology &machine, cpuset_view cpus, const std::string &mems = "",
                            const bind_options &options = {})
{
    if (options.failed()) return *options.failed();
    return binding::made(detail::ask<nvtopo_binding *>(nvtopo_topology_bind_cpus, machine.get(), cpus.get(), mems.c_str(),
                                                       options.get()));
}

} // namespace nvtopo

#endif /* NVTOPO_HPP */
