// stages.json: which stages of a run are done, and from what.
#pragma once

#include <filesystem>
#include <string>

namespace medseg {

/// Fingerprint under which `stage` was finished; empty when it was not. A damaged file counts as nothing finished.
std::string recordedFingerprint(const std::filesystem::path& file, const std::string& stage);

void recordFingerprint(const std::filesystem::path& file, const std::string& stage, const std::string& fingerprint);

/// Names, sizes and modification times of all files below `folder` (or of the one file), as text: changes when any of
/// them does.
std::string describeFiles(const std::filesystem::path& folder);

/// 16 hexadecimal digits that stand for `text` (XXH64).
std::string shortHash(const std::string& text);

}  // namespace medseg
