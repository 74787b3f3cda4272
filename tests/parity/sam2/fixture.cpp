#include "fixture.h"

#include "medseg/base/files.h"
#include "medseg/io/npy.h"
#include "medseg/io/state_dict.h"
#include "medseg/nn/sam2/weights.h"
#include "official_config.h"

namespace medseg::test {
namespace {

torch::ScalarType scalarType(NpyType type) {
    switch (type) {
        case NpyType::U8:
        case NpyType::Bool:
            return torch::kByte;
        case NpyType::I32:
            return torch::kInt;
        case NpyType::I64:
            return torch::kLong;
        case NpyType::F16:
            return torch::kHalf;
        case NpyType::F64:
            return torch::kDouble;
        default:
            return torch::kFloat;
    }
}

torch::Tensor toTensor(const NpyArray& array) {
    torch::Tensor tensor = torch::empty(array.shape, scalarType(array.type));
    EXPECT_EQ(static_cast<std::size_t>(tensor.nbytes()), array.bytes.size());
    std::memcpy(tensor.data_ptr(), array.bytes.data(), array.bytes.size());
    return tensor.scalar_type() == torch::kHalf ? tensor.to(torch::kFloat) : tensor;
}

Sam2 modelWith(const Sam2Settings& settings, const std::vector<std::string>& leftOut) {
    NamedTensors weights = readSam2Weights(sam2Fixture("model/tiny.safetensors"));
    std::erase_if(weights, [&](const auto& item) {
        return std::find(leftOut.begin(), leftOut.end(), item.first) != leftOut.end();
    });
    Sam2 model(settings);
    loadSam2Weights(*model, weights, "tiny.safetensors", "the model of config.json");
    model->eval();
    return model;
}

}  // namespace

std::filesystem::path sam2Fixture(const std::string& name) {
    return fixtures() / "sam2" / name;
}

nlohmann::json sam2Json(const std::string& name) {
    return nlohmann::json::parse(readTextFile(sam2Fixture(name)));
}

torch::Tensor sam2Array(const std::string& name) {
    return toTensor(readNpy(sam2Fixture(name)));
}

torch::Tensor sam2Array(const std::string& file, const std::string& array) {
    return toTensor(NpzFile(sam2Fixture(file)).read(array));
}

Sam2Settings tinySettings(const std::string& flags) {
    const nlohmann::json config = sam2Json("model/config.json");
    Sam2Settings settings = settingsFromOfficial(config.at("model"));
    applyFixedByCode(settings, config.at("fixed_by_code"));
    applyPostprocessing(settings,
                        flags.empty() ? nlohmann::json::object() : config.at("postprocessing_flags_used").at(flags));
    return settings;
}

Sam2 tinyModel(const std::string& flags) {
    return modelWith(tinySettings(flags), {});
}

Sam2 tinyModelOf20() {
    const nlohmann::json variant = sam2Json("model/config.json").at("sam20_style_variant");
    Sam2Settings settings = tinySettings("video");
    settings.spatialNoObjectEmbedding = variant.at("flags").at("no_obj_embed_spatial");
    settings.pointerTimeEncoding = variant.at("flags").at("proj_tpos_enc_in_obj_ptrs");
    return modelWith(settings, variant.at("dropped_keys"));
}

void expectNear(const torch::Tensor& actual, const torch::Tensor& expected, double limit, const std::string& what,
                double relative) {
    ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
    if (expected.numel() == 0) return;
    const torch::Tensor reference = expected.to(torch::kDouble);
    const torch::Tensor excess = (actual.to(torch::kDouble) - reference).abs() - relative * reference.abs();
    EXPECT_LE(excess.max().item<double>(), limit) << what;
}

void expectFixture(const torch::Tensor& actual, const std::string& name, double limit, double relative) {
    expectNear(actual.detach(), sam2Array(name), limit, name, relative);
}

}  // namespace medseg::test
