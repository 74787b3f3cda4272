// A thousand damaged and malicious checkpoints: each is read or refused with one of our errors, nothing else happens.
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <nlohmann/json.hpp>

#include "fixture_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/tensor_statistics.h"
#include "medseg/io/torch_checkpoint.h"
#include "temporary_folder.h"

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUnderSanitizer = true;
#else
constexpr bool kUnderSanitizer = false;
#endif

namespace medseg {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// Limits the address space of the process to what it has now plus `extra`. The address sanitizer's shadow memory does
/// not go together with that; it has its own checks.
class MemoryLimit {
  public:
    explicit MemoryLimit(std::size_t extra) {
        if (kUnderSanitizer) return;
        getrlimit(RLIMIT_AS, &before_);
        std::ifstream statistics("/proc/self/statm");
        std::size_t pages = 0;
        statistics >> pages;
        rlimit limit = before_;
        limit.rlim_cur = pages * 4096 + extra;
        setrlimit(RLIMIT_AS, &limit);
    }
    ~MemoryLimit() {
        if (!kUnderSanitizer) setrlimit(RLIMIT_AS, &before_);
    }
    MemoryLimit(const MemoryLimit&) = delete;
    MemoryLimit& operator=(const MemoryLimit&) = delete;

  private:
    rlimit before_{};
};

Bytes readBytes(const fs::path& path) {
    const MappedFile file(path);
    return {file.bytes().begin(), file.bytes().end()};
}

TensorRecord ramp(std::vector<std::int64_t> shape) {
    std::vector<float> values(static_cast<std::size_t>(checkedElementCount(shape, "test")));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    return TensorRecord::ofFloats(std::move(shape), values);
}

/// Small sound files of each format to start from.
std::vector<std::pair<std::string, Bytes>> seeds(const fs::path& folder) {
    PickleValue root = PickleValue::dict();
    root.set("model",
             PickleValue::stateDict(
                 {{"a.weight", ramp({4, 3})}, {"a.bias", ramp({4})}, {"half", ramp({7}).converted(TensorDtype::F16)}}));
    root.set("lr", 0.5);
    root.set("config", "a: 1\n");
    root.set("list", PickleValue::list({1, true, PickleValue(), PickleValue::tuple({1, 2, 3, 4})}));
    writeTorchFile(folder / "seed.pth", root);
    writeSafetensors(folder / "seed.safetensors", {{"a", ramp({4, 3})}, {"b", ramp({5})}},
                     {{{"k", "v"}}, std::nullopt});
    std::vector<std::pair<std::string, Bytes>> result{{"seed.pth", readBytes(folder / "seed.pth")},
                                                      {"seed.safetensors", readBytes(folder / "seed.safetensors")}};
    for (const char* name : {"sam3d/08_checkpoints/lora_best.pt", "sam3d/08_checkpoints/legacy.pt"})
        if (fs::exists(fixtureFolder(name)))
            result.emplace_back(fs::path(name).filename(), readBytes(fixtureFolder(name)));
    return result;
}

/// A pickle that does harm in Python, as data.pkl-sized text.
std::string maliciousPickle(std::mt19937& random, const std::string& marker) {
    static const char* const functions[] = {"os\nsystem",      "posix\nsystem",  "builtins\neval", "builtins\nexec",
                                            "subprocess\nrun", "builtins\nopen", "shutil\nrmtree", "torch\nload"};
    const std::string command = "touch " + marker;
    std::string pickle = "\x80\x02";
    switch (random() % 4) {
        case 0:  // call
            pickle += std::string("c") + functions[random() % 8] + "\nX";
            pickle += static_cast<char>(command.size());
            pickle += std::string(3, '\0') + command + "\x85R.";
            break;
        case 1:  // deep nesting
            pickle +=
                std::string(1000 + random() % 100000, "]}(\x85"[random() % 2]) + "N" + std::string(1000, '\x85') + ".";
            break;
        case 2:  // a list within itself, many times
            pickle += std::string("]q\0", 3);
            for (int i = 0; i < 200; ++i) pickle += std::string("h\0a", 3);
            pickle += ".";
            break;
        default:  // a huge shape on a small storage
            pickle += "ctorch._utils\n_rebuild_tensor_v2\n((X\x07";
            pickle += std::string(3, '\0') + "storagectorch\nFloatStorage\nX\x01" + std::string(3, '\0') + "0X\x03" +
                      std::string(3, '\0') + "cpuK\x04tQK";
            pickle += static_cast<char>(random() % 8);
            pickle += "\x8a\x08" + std::string(7, static_cast<char>(random())) + static_cast<char>(random() % 128);
            pickle += "\x85K";
            pickle += static_cast<char>(random() % 2);
            pickle += "\x85\x89NtR.";
            break;
    }
    return pickle;
}

/// Replaces the pickle inside a stored archive by another one of at most the same length.
void plantPickle(Bytes& file, const std::string& pickle) {
    const std::string name = "data.pkl";
    const auto at = std::search(file.begin(), file.end(), name.begin(), name.end());
    if (at == file.end()) return;
    std::size_t start = static_cast<std::size_t>(at - file.begin()) + name.size();
    while (start + 1 < file.size() && !(file[start] == 0x80 && file[start + 1] == 2)) ++start;
    for (std::size_t i = 0; i < pickle.size() && start + i < file.size(); ++i)
        file[start + i] = static_cast<std::uint8_t>(pickle[i]);
}

void mutate(Bytes& file, std::mt19937& random, const std::string& marker) {
    const auto any = [&](std::size_t limit) {
        return static_cast<std::size_t>(random()) % std::max<std::size_t>(limit, 1);
    };
    switch (random() % 6) {
        case 0: {  // flipped bits
            const std::size_t flips = 1 + any(8);
            for (std::size_t i = 0; i < flips; ++i) file[any(file.size())] ^= static_cast<std::uint8_t>(1u << any(8));
            break;
        }
        case 1:
            file.resize(any(file.size()));
            break;  // cut off
        case 2: {   // a wrong size or offset
            const std::uint64_t values[] = {0xffffffffffffffffu, 0x7fffffffffffffffu, 0x8000000000000000u, 0xffffffffu,
                                            0};
            const std::uint64_t value = values[any(5)];
            const std::size_t width = any(2) == 0 ? 4 : 8;
            const std::size_t at = any(file.size() - 8);
            std::memcpy(file.data() + at, &value, width);
            break;
        }
        case 3: {  // random bytes in the first or last 400, where the structure is
            const std::size_t reach = std::min<std::size_t>(400, file.size());
            const std::size_t start = any(2) == 0 ? 0 : file.size() - reach;
            for (std::size_t i = 0; i < 4; ++i) file[start + any(reach)] = static_cast<std::uint8_t>(random());
            break;
        }
        case 4: {  // a piece moved elsewhere
            const std::size_t length = std::min<std::size_t>(1 + any(64), file.size() / 2);
            const std::size_t from = any(file.size() - length);
            const std::size_t to = any(file.size() - length);
            std::memmove(file.data() + to, file.data() + from, length);
            break;
        }
        default:
            plantPickle(file, maliciousPickle(random, marker));
            break;
    }
}

/// Everything a user may do with a file: open, describe with statistics, convert.
bool useCheckpoint(const fs::path& path, const fs::path& output) {
    try {
        const Checkpoint checkpoint = readCheckpoint(path);
        formatCheckpointDescription(describeCheckpoint(checkpoint, {true}));
        convertCheckpoint(path, output, {});
        return true;
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(path.filename().string()), std::string::npos) << error.what();
        return false;
    }
}

TEST(CheckpointFuzz, AThousandDamagedFilesAreReadOrRefused) {
    const TemporaryFolder folder;
    const auto originals = seeds(folder.path());
    const std::string marker = (folder.path() / "executed").string();
    std::mt19937 random(20240611);
    int refused = 0;
    const MemoryLimit limit(std::size_t{1} << 30);
    for (int i = 0; i < 1000; ++i) {
        auto [name, bytes] = originals[static_cast<std::size_t>(i) % originals.size()];
        mutate(bytes, random, marker);
        const fs::path path = folder.write("mutated-" + name, bytes);
        ASSERT_NO_THROW(refused += useCheckpoint(path, folder.path() / "out.safetensors") ? 0 : 1) << "mutation " << i;
    }
    EXPECT_GT(refused, 300);
    EXPECT_LT(refused, 1000);
    EXPECT_FALSE(fs::exists(marker));
}

TEST(CheckpointFuzz, PlainMaliciousPicklesAreReadOrRefused) {
    const TemporaryFolder folder;
    const std::string marker = (folder.path() / "executed").string();
    std::mt19937 random(7);
    const MemoryLimit limit(std::size_t{1} << 30);
    for (int i = 0; i < 200; ++i) {
        const std::string pickle = maliciousPickle(random, marker);
        const fs::path path = folder.write("evil.pth", {pickle.begin(), pickle.end()});
        ASSERT_NO_THROW(useCheckpoint(path, folder.path() / "out.safetensors")) << "pickle " << i;
    }
    EXPECT_FALSE(fs::exists(marker));
}

}  // namespace
}  // namespace medseg
