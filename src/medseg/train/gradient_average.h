// The mean over ranks of gradients, computed while the backward pass still runs (Li et al. 2020, "PyTorch
// Distributed").
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include "medseg/train/data_parallel.h"

namespace medseg {

/// Gradients are gathered in buckets in the order in which a backward pass makes them, about the reverse of the
/// parameters'; a bucket is sent when it and those before it are full.
class GradientAverage {
  public:
    /// `parameters` in the same order on every rank. Both must outlive this object, and no backward pass that was
    /// expected may run after it.
    GradientAverage(DataParallel& ranks, std::vector<torch::Tensor> parameters,
                    std::int64_t bucketBytes = std::int64_t{25} << 20);
    ~GradientAverage();
    GradientAverage(const GradientAverage&) = delete;
    GradientAverage& operator=(const GradientAverage&) = delete;

    /// The next backward pass is the last one before finish(): its gradients are final.
    void expect();
    /// Sends what is left, waits, and puts the means into the gradients. A parameter without gradient on some ranks
    /// counts as zero there, and stays without where no rank has one.
    void finish();

  private:
    struct Bucket {
        std::vector<std::size_t> parameters;
        torch::Tensor values;  ///< all gradients, then one number a parameter: 1 where there is a gradient
        std::size_t ready = 0;
        std::unique_ptr<DataParallel::Pending> sum;
    };
    struct Hook {
        std::shared_ptr<torch::autograd::Node> node;
        std::uintptr_t key;
    };
    void addHook(std::size_t parameter, std::size_t bucket);
    void onGradient(std::size_t bucket);
    void send(Bucket& bucket);

    DataParallel& ranks_;
    std::vector<torch::Tensor> parameters_;
    std::vector<Bucket> buckets_;
    std::vector<Hook> hooks_;
    bool expected_ = false;
    std::size_t nextBucket_ = 0;  ///< to send: all ranks send in this order
};

}  // namespace medseg
