#include "medseg/train/gradient_average.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace medseg {

GradientAverage::GradientAverage(DataParallel& ranks, std::vector<torch::Tensor> parameters, std::int64_t bucketBytes)
    : ranks_(ranks), parameters_(std::move(parameters)) {
    std::int64_t bytes = 0;
    std::vector<std::int64_t> lengths;
    for (std::size_t i = parameters_.size(); i-- > 0;) {
        if (buckets_.empty() || bytes >= bucketBytes) {
            buckets_.emplace_back();
            lengths.push_back(0);
            bytes = 0;
        }
        buckets_.back().parameters.push_back(i);
        lengths.back() += parameters_[i].numel() + 1;
        bytes += parameters_[i].numel() * static_cast<std::int64_t>(sizeof(float));
    }
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
        buckets_[b].values = torch::zeros({lengths[b]});
        for (const std::size_t parameter : buckets_[b].parameters) addHook(parameter, b);
    }
}

GradientAverage::~GradientAverage() {
    for (const Hook& hook : hooks_) hook.node->del_post_hook(hook.key);
}

void GradientAverage::addHook(std::size_t parameter, std::size_t bucket) {
    using torch::autograd::variable_list;
    // Runs after the node that adds up the parameter's gradient.
    const auto node = torch::autograd::impl::grad_accumulator(parameters_[parameter]);
    const auto key = node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [this, bucket](const variable_list& outputs, const variable_list&) {
            onGradient(bucket);
            return outputs;
        }));
    hooks_.push_back({node, key});
}

void GradientAverage::expect() {
    for (Bucket& bucket : buckets_) bucket.ready = 0;
    nextBucket_ = 0;
    expected_ = true;
}

void GradientAverage::onGradient(std::size_t bucket) {
    if (!expected_) return;
    ++buckets_[bucket].ready;
    while (nextBucket_ < buckets_.size() && buckets_[nextBucket_].ready >= buckets_[nextBucket_].parameters.size())
        send(buckets_[nextBucket_++]);
}

void GradientAverage::send(Bucket& bucket) {
    torch::NoGradGuard noGradient;
    std::int64_t position = 0, mark = bucket.values.numel() - static_cast<std::int64_t>(bucket.parameters.size());
    for (const std::size_t i : bucket.parameters) {
        const torch::Tensor& gradient = parameters_[i].grad();
        torch::Tensor place = bucket.values.narrow(0, position, parameters_[i].numel());
        if (gradient.defined())
            place.view(parameters_[i].sizes()).copy_(gradient);
        else
            place.zero_();
        bucket.values.data_ptr<float>()[mark++] = gradient.defined() ? 1 : 0;
        position += parameters_[i].numel();
    }
    bucket.sum = ranks_.startSum(bucket.values);
}

void GradientAverage::finish() {
    expected_ = false;
    while (nextBucket_ < buckets_.size()) send(buckets_[nextBucket_++]);
    torch::NoGradGuard noGradient;
    for (Bucket& bucket : buckets_) {
        bucket.sum->wait();
        bucket.sum.reset();
        std::int64_t position = 0, mark = bucket.values.numel() - static_cast<std::int64_t>(bucket.parameters.size());
        for (const std::size_t i : bucket.parameters) {
            torch::Tensor& parameter = parameters_[i];
            if (bucket.values.data_ptr<float>()[mark++] > 0) {
                if (!parameter.grad().defined()) parameter.mutable_grad() = torch::zeros_like(parameter);
                parameter.mutable_grad().copy_(
                    bucket.values.narrow(0, position, parameter.numel()).view(parameter.sizes()) / ranks_.size());
            }
            position += parameter.numel();
        }
    }
}

}  // namespace medseg
