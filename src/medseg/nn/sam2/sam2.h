// SAM 2 (Ravi et al. 2024): segmentation by prompts in images, and through videos and volumes by memory. Parameters and
// buffers have the official names, so that official checkpoints load as they are.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam2/image_encoder.h"
#include "medseg/nn/sam2/mask_decoder.h"
#include "medseg/nn/sam2/memory_attention.h"
#include "medseg/nn/sam2/memory_encoder.h"
#include "medseg/nn/sam2/settings.h"

namespace medseg {

/// What the image encoder makes of one frame or a batch of images.
struct ImageFeatures {
    torch::Tensor embedding;  ///< (batch, width, g, g), without any memory
    torch::Tensor positions;  ///< (1, width, g, g)
    HighResolutionFeatures highResolution;

    std::int64_t bytes() const;
};

/// Prompt of one object on one frame in network pixels: at most one of points and mask is the object's own prompt; a
/// mask beside points is the logits of an earlier answer.
struct FramePrompt {
    torch::Tensor points;  ///< (1, n, 2) or undefined
    torch::Tensor labels;  ///< (1, n), int: 1 inside, 0 outside, 2 and 3 box corners
    torch::Tensor mask;    ///< (1, 1, 4 g, 4 g): logits, or undefined
};

/// Result for one object on one frame. In training the first axis may count several frames with an object each.
struct FrameMask {
    torch::Tensor lowResolution;  ///< (1, 1, 4 g, 4 g): logits, -1024 everywhere when the object is absent
    torch::Tensor pointer;        ///< (1, width)
    torch::Tensor objectScore;    ///< (1, 1)
    torch::Tensor maskLogits;     ///< as lowResolution, but the mask even of an object that is held to be absent
};

/// One frame as memory attention sees it.
struct MemoryFrame {
    torch::Tensor features;  ///< (1, memoryWidth, g, g)
    std::int64_t slot = 0;   ///< row of the temporal code: last for prompted frames, 0 for the frame just before
};

struct MemoryPointer {
    torch::Tensor pointer;  ///< (1, width)
    double distance = 0;    ///< frames between then and now
};

/// Everything an object remembers that is of use for one frame.
struct Memory {
    std::vector<MemoryFrame> frames;
    std::vector<MemoryPointer> pointers;
    double pointerHorizon = 1;  ///< distance that counts as 1 in the pointers' time code
};

/// Logits of an absent object.
constexpr double kAbsentLogit = -1024.0;

class Sam2Impl : public torch::nn::Module {
  public:
    /// Throws DataError for settings that contradict themselves.
    explicit Sam2Impl(const Sam2Settings& settings);

    const Sam2Settings& settings() const { return settings_; }
    torch::Device device() const { return maskTimeCode_.device(); }

    /// images: (batch, 3, imageSize, imageSize), normalised.
    ImageFeatures encodeImages(const torch::Tensor& images);

    /// The embedding as single images and prompted frames use it: with the embedding that stands for "no memory".
    torch::Tensor withoutMemory(const torch::Tensor& embedding) const;

    /// Prompt encoder and mask decoder on single images; `embedding` from withoutMemory().
    Sam2MaskOutput decode(const torch::Tensor& embedding, const HighResolutionFeatures& features,
                          const PromptBatch& prompts, bool multimask);

    /// The answer to a prompt on a frame; without points the object is only looked for. `embedding` is with or without
    /// memory. Several frames with a prompt each may be given at once where `multimask` is false.
    FrameMask segmentFrame(const torch::Tensor& embedding, const HighResolutionFeatures& features,
                           const FramePrompt& prompt, bool multimask);

    /// A mask that is given: (1, 1, imageSize, imageSize), 0 or 1.
    FrameMask adoptMask(const ImageFeatures& frame, const torch::Tensor& mask);

    /// The frame's embedding after memory attention.
    torch::Tensor attendMemory(const ImageFeatures& frame, const Memory& memory);

    /// The frame as memory: (1, memoryWidth, g, g). lowResolution: logits; `prompted`: by the user.
    torch::Tensor rememberFrame(const ImageFeatures& frame, const FrameMask& mask, bool prompted);
    /// The same for logits at image size (1, 1, imageSize, imageSize).
    torch::Tensor encodeMemory(const torch::Tensor& embedding, const torch::Tensor& logits,
                               const torch::Tensor& objectScore, bool prompted);

    /// Position code of a memory map, without its time: (1, memoryWidth, g, g).
    torch::Tensor memoryPositions() const;

    /// Pointers (n, 1, width) as tokens of memory width (n * width / memoryWidth, 1, memoryWidth), and their time
    /// codes.
    torch::Tensor pointerTokens(const torch::Tensor& pointers) const;
    torch::Tensor pointerTimes(const std::vector<double>& distances, double horizon);
    /// The time codes before their projection: (n, width).
    torch::Tensor pointerSines(const std::vector<double>& distances, double horizon) const;

    /// Whether a prompt of so many points gets three candidates.
    bool isAmbiguous(std::int64_t points) const;

    Sam2ImageEncoder imageEncoder{nullptr};
    PromptEncoder promptEncoder{nullptr};
    Sam2MaskDecoder maskDecoder{nullptr};
    MemoryAttention memoryAttention{nullptr};
    MemoryEncoder memoryEncoder{nullptr};

  private:
    /// Where the object is absent: the pointer that says so.
    torch::Tensor maskedPointer(const torch::Tensor& pointer, const torch::Tensor& present) const;

    Sam2Settings settings_;
    torch::Tensor maskTimeCode_;  ///< maskmem_tpos_enc
    torch::Tensor noMemory_;      ///< no_mem_embed
    torch::Tensor noMemoryPositions_;
    torch::Tensor noObjectPointer_;
    torch::Tensor noObjectFeatures_;  ///< 2.1 only
    torch::nn::Conv2d maskDownsample_{nullptr};
    LayeredMlp pointerProjection_{nullptr};
    Linear pointerTimeProjection_{nullptr};
};
TORCH_MODULE(Sam2);

/// Logits resized bilinearly (half-pixel centres).
torch::Tensor resizeLogits(const torch::Tensor& logits, std::int64_t height, std::int64_t width);

/// Bilinear with the filter widened where the image shrinks.
torch::Tensor resizeSmoothly(const torch::Tensor& images, std::int64_t height, std::int64_t width);

}  // namespace medseg
