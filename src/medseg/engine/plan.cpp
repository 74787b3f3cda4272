#include "medseg/engine/plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include <fmt/format.h>
#include <omp.h>
#include <dnnl.hpp>

#include "medseg/base/error.h"
#include "medseg/engine/activation_memory.h"
#include "medseg/engine/layout_kernels.h"

namespace medseg {
namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Tag = memory::format_tag;

constexpr float kUnsignedSteps = 255.0F, kSignedSteps = 127.0F;

const dnnl::engine& cpuEngine() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

/// How an activation is stored and what its integers stand for.
struct Storage {
    DataType type = DataType::f32;
    bool blocked = false;              ///< channels in blocks of 16 (else channels last)
    std::vector<float> channelScales;  ///< int8: value = integer * scale, per channel
    bool integer() const { return type == DataType::u8 || type == DataType::s8; }
};

float rangeOf(const GraphValue& value, const ActivationRanges& ranges) {
    const auto found = ranges.find(value.name);
    if (found == ranges.end() || !(found->second >= 0) || !std::isfinite(found->second))
        throw DataError(fmt::format("the quantisation has no range for \"{}\": quantise this model again", value.name));
    return std::max(found->second, 1e-12F);
}

/// What each activation of `graph` is stored as.
std::vector<Storage> chooseStorage(const Graph& graph, Precision precision, const ActivationRanges& ranges) {
    std::vector<Storage> storage(graph.values.size());
    bool blocks = precision == Precision::Fp32;
    for (std::size_t v = 1; v < graph.values.size(); ++v)
        if (static_cast<int>(v) != graph.output()) blocks = blocks && graph.values[v].channels % kChannelBlock == 0;
    for (const GraphNode& node : graph.nodes) {
        Storage& out = storage[node.output];
        const GraphValue& value = graph.values[node.output];
        if (node.output == graph.output()) continue;  // logits: plain floats
        out.blocked = blocks;
        if (precision == Precision::Bf16) out.type = DataType::bf16;
        if (precision != Precision::Int8) continue;
        if (node.kind == GraphNode::Kind::Convolution) {
            out.type = value.nonNegative ? DataType::u8 : DataType::s8;
            out.channelScales.assign(value.channels,
                                     rangeOf(value, ranges) / (value.nonNegative ? kUnsignedSteps : kSignedSteps));
        } else if (node.kind == GraphNode::Kind::MaxPool) {
            out = storage[node.input];
        } else {  // upsampled channels keep their scale, those of the skip lose their lowest bit
            out.type = DataType::s8;
            out.channelScales.assign(graph.values[node.input].channels / 4, storage[node.input].channelScales[0]);
            for (const float scale : storage[node.skip].channelScales) out.channelScales.push_back(2 * scale);
        }
    }
    return storage;
}

/// Some of a convolution's outputs.
struct ConvolutionPart {
    dnnl::convolution_forward primitive;
    memory weights, bias, scratch;
    memory::desc target;
};
using Description = dnnl::convolution_forward::primitive_desc;

/// A convolution ready to run: fp32 and bf16 by their weights, int8 by folded scales. `source` and `target` describe
/// `batch` images; parts write equal shares of the output channels, one after the other (blocked layout only).
struct ConvolutionStep {
    std::vector<ConvolutionPart> parts;
    memory::desc source, target;
    std::int64_t batch = 1;
};

/// How many threads oneDNN plans for.
class PlanningThreads {
  public:
    explicit PlanningThreads(int threads) : before_(::omp_get_max_threads()) { ::omp_set_num_threads(threads); }
    ~PlanningThreads() { ::omp_set_num_threads(before_); }
    PlanningThreads(const PlanningThreads&) = delete;
    PlanningThreads& operator=(const PlanningThreads&) = delete;

  private:
    int before_;
};

}  // namespace

Precision precisionFromName(const std::string& name) {
    if (name == "fp32") return Precision::Fp32;
    if (name == "bf16") return Precision::Bf16;
    if (name == "int8") return Precision::Int8;
    throw UsageError(fmt::format("precision \"{}\": use fp32, bf16 or int8", name));
}

class Plan::Implementation {
  public:
    Implementation(const Graph& graph, Precision precision, std::int64_t batch, std::int64_t height, std::int64_t width,
                   const ActivationRanges& ranges)
        : graph_(graph), precision_(precision), batch_(batch), height_(height), width_(width), stream_(cpuEngine()) {
        if (height % graph.divisor() != 0 || width % graph.divisor() != 0)
            throw UsageError(
                fmt::format("an input of {}x{} pixels must be divisible by {}", width, height, graph.divisor()));
        storage_ = chooseStorage(graph, precision, ranges);
        for (const GraphNode& node : graph_.nodes) compile(node);
        for (GraphNode& node : graph_.nodes) node.weights = {};  // now in the primitives' layouts
        memory_ = ActivationMemory(graph_, [&](int value) { return bytesOf(value); });
        scratch_.resize(scratchFloats_);
    }

    void run(const float* images, float* logits, const Observer& observer) {
        std::size_t step = 0;
        for (const GraphNode& node : graph_.nodes) {
            const void* input = node.input == 0 ? static_cast<const void*>(images) : memory_.at(node.input);
            void* output = node.output == graph_.output() ? static_cast<void*>(logits) : memory_.at(node.output);
            steps_[step++](input, output);
            stream_.wait();
            if (observer)
                observer(graph_.values[node.output],
                         {static_cast<const float*>(output), static_cast<std::size_t>(elementsOf(node.output))});
        }
    }

    std::int64_t activationBytes() const {
        return memory_.bytes() + static_cast<std::int64_t>(scratch_.size() * sizeof(float));
    }

  private:
    using Step = std::function<void(const void* input, void* output)>;

    std::int64_t heightOf(int value) const { return height_ >> graph_.values[value].halvings; }
    std::int64_t widthOf(int value) const { return width_ >> graph_.values[value].halvings; }
    std::int64_t pixelsOf(int value) const { return batch_ * heightOf(value) * widthOf(value); }
    std::int64_t elementsOf(int value) const { return pixelsOf(value) * graph_.values[value].channels; }
    std::int64_t bytesOf(int value) const {
        return elementsOf(value) * static_cast<std::int64_t>(memory::data_type_size(storage_[value].type));
    }

    memory::desc description(int value, DataType type, bool blocked, std::int64_t batch) const {
        return {{batch, graph_.values[value].channels, heightOf(value), widthOf(value)},
                type,
                blocked ? Tag::nChw16c : Tag::nhwc};
    }
    memory::desc description(int value) const {
        return description(value, storage_[value].type, storage_[value].blocked, batch_);
    }

    void compile(const GraphNode& node) {
        switch (node.kind) {
            case GraphNode::Kind::Convolution:
                return compileConvolution(node);
            case GraphNode::Kind::MaxPool:
                return compileMaxPool(node);
            case GraphNode::Kind::Interleave:
                return compileInterleave(node);
        }
    }

    void compileMaxPool(const GraphNode& node) {
        const memory::desc source = description(node.input), target = description(node.output);
        const memory::dims two{2, 2}, none{0, 0};
        const dnnl::pooling_forward pool(dnnl::pooling_forward::primitive_desc(
            {dnnl::prop_kind::forward_inference, dnnl::algorithm::pooling_max, source, target, two, two, none, none},
            cpuEngine()));
        steps_.push_back([this, pool, source, target](const void* input, void* output) {
            pool.execute(stream_, {{DNNL_ARG_SRC, wrap(source, input)}, {DNNL_ARG_DST, wrap(target, output)}});
        });
    }

    void compileInterleave(const GraphNode& node) {
        InterleaveShape shape;
        shape.batch = batch_;
        shape.height = heightOf(node.input);
        shape.width = widthOf(node.input);
        shape.up = graph_.values[node.input].channels / 4;
        shape.skip = graph_.values[node.skip].channels;
        const int skip = node.skip;
        const Storage& storage = storage_[node.output];
        steps_.push_back([this, shape, skip, storage](const void* input, void* output) {
            const void* other = memory_.at(skip);
            if (storage.blocked)
                interleaveBlocked(shape, static_cast<const float*>(input), static_cast<const float*>(other),
                                  static_cast<float*>(output));
            else if (storage.integer())
                interleaveQuantized(shape, static_cast<const std::int8_t*>(input),
                                    static_cast<const std::uint8_t*>(other), static_cast<std::int8_t*>(output));
            else
                interleaveChannelsLast(shape, input, other, output, memory::data_type_size(storage.type));
        });
    }

    /// Convolutions that read floats although their output is stored otherwise: the first one, whose input are floats.
    void compileConvolution(const GraphNode& node) {
        const bool last = node.output == graph_.output();
        const Storage &in = storage_[node.input], &out = storage_[node.output];
        Storage source = in, target = out;
        if (node.input == 0) {
            source.type = target.type = DataType::f32;
            target.blocked = source.blocked = false;
            target.channelScales.clear();
        }
        if (last) source.blocked = false;
        const ConvolutionStep step = buildConvolution(node, source, target);
        const bool convertInput = source.blocked != in.blocked;
        const bool convertOutput = target.blocked != out.blocked || target.type != out.type;
        if (convertInput) scratchFloats_ = std::max(scratchFloats_, elementsOf(node.input));
        if (convertOutput) scratchFloats_ = std::max(scratchFloats_, elementsOf(node.output));
        const memory::desc stored = description(node.input), wanted = description(node.output);
        const float scale = out.integer() ? out.channelScales[0] : 1.0F;
        const std::int64_t count = elementsOf(node.output);
        steps_.push_back(
            [this, step, convertInput, convertOutput, stored, wanted, scale, count](const void* input, void* output) {
                if (convertInput) {
                    reorder(stored, input, step.source, scratch_.data());
                    input = scratch_.data();
                }
                void* direct = convertOutput ? static_cast<void*>(scratch_.data()) : output;
                execute(step, input, direct);
                if (!convertOutput) return;
                stream_.wait();
                if (wanted.data_type() == static_cast<dnnl_data_type_t>(DataType::u8))
                    quantize(scratch_.data(), count, scale, static_cast<std::uint8_t*>(output));
                else
                    reorder(step.target, direct, wanted, output);
            });
    }

    ConvolutionStep buildConvolution(const GraphNode& node, const Storage& source, const Storage& target) const {
        const ConvolutionWeights& w = node.weights;
        const bool integer = source.integer();
        // Which Winograd kernel oneDNN takes for a batch depends on the number of threads; for one image it does not.
        const bool winograd = source.blocked && target.blocked && w.kernel == 3;
        ConvolutionStep step;
        step.batch = winograd ? 1 : batch_;
        step.source = description(node.input, source.type, source.blocked, step.batch);
        step.target = description(node.output, target.type, target.blocked, step.batch);

        dnnl::primitive_attr attributes;
        if (node.relu) {
            dnnl::post_ops after;
            after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
            attributes.set_post_ops(after);
        }
        std::vector<float> values = w.weight, shift = w.bias;
        if (integer) attributes.set_output_scales(2, quantizeWeights(w, source, target, values, shift));

        const auto describe = [&](dnnl::algorithm algorithm, int parts) {
            const memory::dims one{1, 1}, padding{w.kernel / 2, w.kernel / 2};
            memory::desc share = step.target;
            if (parts > 1) {
                memory::dims dims = share.dims();
                dims[1] /= parts;
                share = {dims, target.type, Tag::nChw16c};
                attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // oneDNN's own belongs to one thread
            }
            const memory::desc weights({w.outChannels / parts, w.inChannels, w.kernel, w.kernel},
                                       integer ? DataType::s8 : source.type, Tag::any);
            const memory::desc bias({w.outChannels / parts}, DataType::f32, Tag::x);
            return Description({dnnl::prop_kind::forward_inference, algorithm, step.source, weights, bias, share, one,
                                padding, padding},
                               attributes, cpuEngine());
        };
        if (!winograd || !addWinograd(describe, w, values, shift, step))
            addParts(describeOrExplain([&](auto algorithm) { return describe(algorithm, 1); }), w, 1, values, shift,
                     step);
        return step;
    }

    /// Runs all images of the batch. Parts run side by side, each on one thread.
    void execute(const ConvolutionStep& step, const void* input, void* output) {
        const auto images = batch_ / step.batch;
        const std::size_t inputBytes = step.source.get_size(), outputBytes = step.target.get_size();
        const auto parts = static_cast<std::int64_t>(step.parts.size());
        for (std::int64_t image = 0; image < images; ++image) {
            const auto* in = static_cast<const std::byte*>(input) + static_cast<std::size_t>(image) * inputBytes;
            auto* out = static_cast<std::byte*>(output) + static_cast<std::size_t>(image) * outputBytes;
            const auto runPart = [&](const ConvolutionPart& part, dnnl::stream& stream, std::size_t index) {
                const std::size_t place = index * (outputBytes / static_cast<std::size_t>(parts));
                std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, wrap(step.source, in)},
                                                          {DNNL_ARG_WEIGHTS, part.weights},
                                                          {DNNL_ARG_BIAS, part.bias},
                                                          {DNNL_ARG_DST, wrap(part.target, out + place)}};
                if (parts > 1) arguments.emplace(DNNL_ARG_SCRATCHPAD, part.scratch);
                part.primitive.execute(stream, arguments);
            };
            if (parts == 1) {
                runPart(step.parts[0], stream_, 0);
                continue;
            }
#pragma omp parallel for schedule(static, 1)
            for (std::int64_t p = 0; p < parts; ++p) {
                dnnl::stream stream(cpuEngine());
                runPart(step.parts[static_cast<std::size_t>(p)], stream, static_cast<std::size_t>(p));
                stream.wait();
            }
        }
    }

    /// Winograd takes fewer multiplications than the direct sum: with 4x4 tiles it is 1.5 to 3 times faster, with the
    /// 2x2 tiles that oneDNN prefers for large images 1.5 to 1.8 times from 64 outputs on, and no faster below. The
    /// order of sums with 4x4 tiles depends on the number of threads that is planned for: hence two halves planned for
    /// one thread. False, and `step` unchanged, where the direct sum is the better or the only choice.
    template <typename Describe>
    static bool addWinograd(const Describe& describe, const ConvolutionWeights& w, const std::vector<float>& values,
                            const std::vector<float>& shift, ConvolutionStep& step) {
        try {
            const Description whole = describe(dnnl::algorithm::convolution_winograd, 1);
            const bool largeTiles = std::string(whole.impl_info_str()).find("4x3") != std::string::npos;
            if (largeTiles ? w.outChannels % (2 * kChannelBlock) != 0 : w.outChannels < 64) return false;
            if (largeTiles) {
                const PlanningThreads one(1);
                addParts(describe(dnnl::algorithm::convolution_winograd, 2), w, 2, values, shift, step);
            } else {
                addParts(whole, w, 1, values, shift, step);
            }
            return true;
        } catch (const dnnl::error&) {  // not on this processor
            return false;
        }
    }

    template <typename Describe>
    Description describeOrExplain(const Describe& describe) const {
        try {
            return describe(dnnl::algorithm::convolution_direct);
        } catch (const dnnl::error&) {
            throw UsageError(fmt::format("this processor cannot run precision {}: use fp32",
                                         precision_ == Precision::Bf16 ? "bf16" : "int8"));
        }
    }

    /// Gives each of `count` parts its share of `values` (out, in, k, k) and `shift` (out).
    static void addParts(const Description& description, const ConvolutionWeights& w, int count,
                         const std::vector<float>& values, const std::vector<float>& shift, ConvolutionStep& step) {
        const memory::dims shape{w.outChannels / count, w.inChannels, w.kernel, w.kernel};
        const std::size_t outputs = static_cast<std::size_t>(shape[0]),
                          perOutput = values.size() / static_cast<std::size_t>(w.outChannels);
        dnnl::stream stream(cpuEngine());
        for (std::size_t p = 0; p < static_cast<std::size_t>(count); ++p) {
            ConvolutionPart part;
            part.primitive = dnnl::convolution_forward(description);
            part.target = description.dst_desc();
            part.scratch = memory(description.scratchpad_desc(), cpuEngine());
            part.weights = memory(description.weights_desc(), cpuEngine());
            // Int8 weights are whole numbers by now: the reorder only narrows them.
            memory plain = wrap({shape, DataType::f32, Tag::oihw}, values.data() + p * outputs * perOutput);
            dnnl::reorder(plain, part.weights).execute(stream, plain, part.weights);
            stream.wait();
            part.bias = memory(description.bias_desc(), cpuEngine());
            std::memcpy(part.bias.get_data_handle(), shift.data() + p * outputs, outputs * sizeof(float));
            step.parts.push_back(std::move(part));
        }
    }

    /// Folds the input's scales into `values` (out, in, k, k) and rounds them to -127..127, one scale an output; turns
    /// `shift` into the unit of the integer sums. Returns the factors from sums to stored outputs.
    static std::vector<float> quantizeWeights(const ConvolutionWeights& w, const Storage& source, const Storage& target,
                                              std::vector<float>& values, std::vector<float>& shift) {
        const std::size_t in = static_cast<std::size_t>(w.inChannels),
                          area = static_cast<std::size_t>(w.kernel) * static_cast<std::size_t>(w.kernel);
        std::vector<float> factors;
        for (std::size_t o = 0; o < static_cast<std::size_t>(w.outChannels); ++o) {
            float* row = values.data() + o * in * area;
            float largest = 1e-20F;
            for (std::size_t i = 0; i < in * area; ++i) {
                row[i] *= source.channelScales[i / area];
                largest = std::max(largest, std::abs(row[i]));
            }
            const float scale = largest / kSignedSteps;
            for (std::size_t i = 0; i < in * area; ++i) row[i] = std::nearbyint(row[i] / scale);
            shift[o] /= scale;
            factors.push_back(target.integer() ? scale / target.channelScales[0] : scale);
        }
        return factors;
    }

    static memory wrap(const memory::desc& desc, const void* data) {
        return {desc, cpuEngine(), const_cast<void*>(data)};
    }

    void reorder(const memory::desc& from, const void* source, const memory::desc& to, void* target) {
        memory a = wrap(from, source), b = wrap(to, target);
        dnnl::reorder(a, b).execute(stream_, a, b);
        stream_.wait();
    }

    Graph graph_;
    Precision precision_;
    std::int64_t batch_, height_, width_;
    dnnl::stream stream_;
    std::vector<Storage> storage_;
    std::vector<Step> steps_;
    ActivationMemory memory_;
    std::int64_t scratchFloats_ = 0;
    std::vector<float> scratch_;
};

Plan::Plan(const Graph& graph, Precision precision, std::int64_t batch, std::int64_t height, std::int64_t width,
           const ActivationRanges& ranges)
    : implementation_(std::make_unique<Implementation>(graph, precision, batch, height, width, ranges)) {}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

void Plan::run(const float* images, float* logits, const Observer& observer) {
    implementation_->run(images, logits, observer);
}

std::int64_t Plan::activationBytes() const {
    return implementation_->activationBytes();
}

}  // namespace medseg
