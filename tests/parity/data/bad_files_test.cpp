// Damaged files end in a DataError that says what bad/expected.json wants said.
#include <cctype>
#include <sstream>

#include "medseg/base/error.h"
#include "medseg/io/image_file.h"
#include "medseg/io/npy.h"
#include "parity/data/fixture.h"

namespace medseg {
namespace {

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

/// Each list item must occur; alternatives are separated by |.
void expectMentions(const std::string& message, const nlohmann::json& requirements) {
    for (const std::string requirement : requirements) {
        bool found = false;
        std::istringstream alternatives(requirement);
        for (std::string one; std::getline(alternatives, one, '|');)
            found = found || lower(message).find(lower(one)) != std::string::npos;
        EXPECT_TRUE(found) << "\"" << message << "\" does not mention " << requirement;
    }
}

template <typename Action>
std::string messageOf(Action&& action) {
    try {
        action();
    } catch (const DataError& error) {
        return error.what();
    }
    return {};
}

std::string readEverything(const std::filesystem::path& path) {
    if (path.extension() != ".npz") return messageOf([&] { readStoredImage(path); });
    return messageOf([&] {
        const NpzFile npz(path);
        for (const std::string& name : npz.names()) npz.read(name);
    });
}

TEST(BadFiles, areRefusedWithOneClearLine) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/bad");
    const nlohmann::json expected = readJson(folder / "expected.json");
    for (const auto& entry : expected["cases"]) {
        const std::string name = entry["file"];
        SCOPED_TRACE(name);
        std::string message;
        if (entry["verdict"] == "reject as a pair") {
            const auto partner = folder / "mismatch_image.nii.gz";
            const Geometry image = readImageHeader(partner).geometry, label = readImageHeader(folder / name).geometry;
            message = messageOf([&] { requireSameGeometry(image, partner.string(), label, (folder / name).string()); });
        } else {
            message = readEverything(folder / name);
        }
        EXPECT_NE(message.find(name), std::string::npos) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos);
        expectMentions(message, entry["message_should_mention"]);
    }
}

}  // namespace
}  // namespace medseg
