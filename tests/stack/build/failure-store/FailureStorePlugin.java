import java.util.Map;
import java.util.Set;

import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.features.FeatureSpecification;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.TextFieldMapper;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Switches on the failure store of data streams, which is in the server of the stripped distribution, and is announced by a module
 * that is not; its own mapping wants match_only_text, which is text here.
 */
public final class FailureStorePlugin extends Plugin implements MapperPlugin {
    @Override
    public Map<String, Mapper.TypeParser> getMappers() {
        return Map.of("match_only_text", TextFieldMapper.PARSER);
    }

    /** What the module data-streams says of a node. */
    public static final class Features implements FeatureSpecification {
        @Override
        public Set<NodeFeature> getFeatures() {
            return Set.of(DataStream.DATA_STREAM_FAILURE_STORE_FEATURE);
        }
    }
}
